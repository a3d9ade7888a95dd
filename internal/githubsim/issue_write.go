package githubsim

import (
	"net/http"
	"slices"
)

func (c *call) createIssue() error {
	if c.user == nil {
		return errUnauthenticated()
	}
	if !c.repo.hasIssues {
		return errGone("Issues has been disabled in this repository.")
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	if !b.has("title") {
		return errSchema("\"title\" wasn't supplied.")
	}
	if raw, ok := b["body"]; ok && isNull(raw) {
		return errSchema("For 'properties/body', nil is not a string.")
	}
	p, err := c.parseIssue(b)
	if err != nil {
		return err
	}
	p.state, p.reason = "", "" // not taken on create
	i := &issue{id: c.st.issueIDs.next(), user: c.user, state: "open", created: c.now, updated: c.now, changed: c.now}
	c.st.addIssue(c.repo, i)
	c.repo.change(i, func() { c.applyIssue(i, p) })
	c.emitIssue("opened", i, nil)
	for _, l := range i.labels {
		c.emitIssue("labeled", i, func(e *enc) { e.label("label", i.repo, l) })
	}
	for _, u := range i.assignees {
		c.emitIssue("assigned", i, func(e *enc) { e.user("assignee", u) })
	}
	if i.milestone != nil {
		c.emitIssue("milestoned", i, func(e *enc) { e.milestone("milestone", i.repo, i.milestone) })
	}
	c.json(http.StatusCreated).issue("", i)
	c.location(i.apiPath())
	return nil
}

func (c *call) updateIssue() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if c.user == nil {
		return errUnauthenticated()
	}
	if !c.canPush() && i.user != c.user {
		return errForbidden()
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	p, err := c.parseIssue(b)
	if err != nil {
		return err
	}
	if i.pull != nil && i.pull.merged != 0 && p.state == "open" {
		return errInvalid(fieldError{resource: "Issue", code: "invalid", field: "state", value: quoted(p.state)})
	}
	c.editIssue(i, p)
	c.json(http.StatusOK).issue("", i)
	return nil
}

// applyIssue puts a checked patch into i and reports whether anything changed.
// It must run inside repository.change.
func (c *call) applyIssue(i *issue, p issuePatch) (changed bool) {
	before := *i
	if p.title != nil {
		i.title = *p.title
	}
	if p.hasBody {
		i.body = p.body
	}
	if p.labels != nil {
		i.labels = c.labelSet(i.repo, p.labels)
	}
	if p.assignees != nil {
		i.assignees = c.assigneeSet(nil, p.assignees)
	}
	if p.hasMilest {
		i.milestone = p.milestone
	}
	if p.hasKind && i.pull == nil {
		i.kind = p.kind
	}
	if p.state != "" && p.state != i.state {
		c.setState(i, p.state, p.reason)
	}
	changed = before.title != i.title || !equalText(before.body, i.body) ||
		!slices.Equal(before.labels, i.labels) || !slices.Equal(before.assignees, i.assignees) ||
		before.milestone != i.milestone || before.kind != i.kind || before.state != i.state
	if changed {
		i.touch(c.now)
		for _, m := range []*milestone{before.milestone, i.milestone} {
			if m != nil && (before.milestone != i.milestone || before.state != i.state) {
				m.updated = max(m.updated, c.now)
			}
		}
	}
	return changed
}

// setState closes or reopens. The reason counts only because the state changes;
// pull requests have none.
func (c *call) setState(i *issue, state, reason string) {
	i.state = state
	if state == "closed" {
		i.closed, i.closedBy = max(c.now, i.created), c.user
		if reason == "" || reason == "reopened" {
			reason = "completed"
		}
	} else {
		i.closed, i.closedBy = 0, nil
		reason = "reopened"
	}
	if i.pull == nil {
		i.reason = reason
	}
}

// editIssue applies a checked patch and sends the events it causes.
func (c *call) editIssue(i *issue, p issuePatch) {
	before := *i
	i.repo.change(i, func() { c.applyIssue(i, p) })
	if before.title != i.title || !equalText(before.body, i.body) {
		c.emitIssue("edited", i, func(e *enc) { e.issueChanges(&before, i) })
	}
	if before.state != i.state {
		action := "closed"
		if i.state == "open" {
			action = "reopened"
		}
		c.emitIssue(action, i, nil)
	}
	for _, l := range i.labels {
		if !slices.Contains(before.labels, l) {
			c.emitIssue("labeled", i, func(e *enc) { e.label("label", i.repo, l) })
		}
	}
	for _, l := range before.labels {
		if !slices.Contains(i.labels, l) {
			c.emitIssue("unlabeled", i, func(e *enc) { e.label("label", i.repo, l) })
		}
	}
	for _, u := range i.assignees {
		if !slices.Contains(before.assignees, u) {
			c.emitIssue("assigned", i, func(e *enc) { e.user("assignee", u) })
		}
	}
	for _, u := range before.assignees {
		if !slices.Contains(i.assignees, u) {
			c.emitIssue("unassigned", i, func(e *enc) { e.user("assignee", u) })
		}
	}
	if before.milestone != i.milestone {
		if m := before.milestone; m != nil {
			c.emitIssue("demilestoned", i, func(e *enc) { e.milestone("milestone", i.repo, m) })
		}
		if m := i.milestone; m != nil {
			c.emitIssue("milestoned", i, func(e *enc) { e.milestone("milestone", i.repo, m) })
		}
	}
	if before.kind != i.kind {
		if t := before.kind; t != nil {
			c.emitIssue("untyped", i, func(e *enc) { e.issueType("type", t) })
		}
		if t := i.kind; t != nil {
			c.emitIssue("typed", i, func(e *enc) { e.issueType("type", t) })
		}
	}
}

// labelSet finds the labels of the given names, whatever their case, and creates
// those that do not exist.
func (c *call) labelSet(r *repository, names []string) []*label {
	set := make([]*label, 0, len(names))
	for _, name := range names {
		l := r.label(name)
		if l == nil {
			l = &label{id: c.st.labelIDs.next(), name: name, color: defaultLabelColor}
			r.putLabel(l)
			c.emitLabel("created", r, l, nil)
		}
		set = append(set, l)
	}
	return sortLabels(set)
}

// assigneeSet adds the users of the given logins to a set, leaving out unknown
// ones and what goes beyond GitHub's limit.
func (c *call) assigneeSet(set []*user, logins []string) []*user {
	set = slices.Clone(set)
	for _, login := range logins {
		u := c.st.user(login)
		if u != nil && c.repo.assignable(u) && !slices.Contains(set, u) && len(set) < maxIssueAssignees {
			set = append(set, u)
		}
	}
	return set
}
