package githubsim

import (
	"net/http"
	"slices"
	"strconv"
)

// issue is an issue or, when pull is set, a pull request as the issues
// endpoints show it: with the issue's id, not the pull request's.
type issue struct {
	id, number       int64
	repo             *repository
	title            string
	body             *string
	user             *user
	labels           []*label // by id
	assignees        []*user
	milestone        *milestone
	state            string // open, closed
	reason           string // state_reason; "" = null
	closedBy         *user
	locked           bool
	lockReason       string
	kind             *issueType
	created, updated int64
	closed           int64
	comments         []*comment
	reactions        reactions
	pull             *pullRequest
	changed          int64  // when it was last written, by the clock; see visible
	former           *issue // as it was before that; nil for a new issue
}

type pullRequest struct {
	merged int64
	draft  bool
}

// reactions counts +1, -1, laugh, hooray, confused, heart, rocket, eyes.
type reactions [8]int64

var reactionKeys = [8]string{"+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"}

func (i *issue) numberText() string { return strconv.FormatInt(i.number, 10) }

func (i *issue) apiPath() string { return i.repo.apiPath() + "/issues/" + i.numberText() }

func (i *issue) nodeID() string {
	if i.pull != nil {
		return nodeID("PR", i.repo.id, i.id)
	}
	return nodeID("I", i.repo.id, i.id)
}

func (i *issue) webPath() string {
	if i.pull != nil {
		return "/" + i.repo.fullName() + "/pull/" + i.numberText()
	}
	return "/" + i.repo.fullName() + "/issues/" + i.numberText()
}

// touch moves updated_at, which never goes back. The issue must be out of the
// sorted lists; see repository.change.
func (i *issue) touch(now int64) {
	i.updated = max(i.updated, now)
	i.changed = now
}

// visible is the issue as reads see it: as it was before while the lag lasts,
// nil if it was not there before.
func (i *issue) visible(now int64) *issue {
	if i.repo.lag == 0 || now >= i.changed+i.repo.lag {
		return i
	}
	return i.former
}

// change runs a mutation of an issue that may move it in the sorted lists.
func (r *repository) change(i *issue, mutate func()) {
	r.byCreated.remove(i)
	r.byUpdated.remove(i)
	r.byComments.remove(i)
	if i.state == "open" {
		r.open--
	}
	if m := i.milestone; m != nil {
		m.count(i.state, -1)
	}
	before := *i
	mutate()
	if r.lag > 0 && i.changed >= before.changed+r.lag {
		before.former = nil
		i.former = &before
	}
	if m := i.milestone; m != nil {
		m.count(i.state, 1)
	}
	if i.state == "open" {
		r.open++
	}
	r.byCreated.insert(i)
	r.byUpdated.insert(i)
	r.byComments.insert(i)
}

func (m *milestone) count(state string, by int64) {
	if state == "open" {
		m.open += by
	} else {
		m.shut += by
	}
}

// add gives a new issue its number and puts it everywhere it is looked up.
func (st *store) addIssue(r *repository, i *issue) {
	i.repo = r
	r.slots = append(r.slots, slot{issue: i})
	i.number = int64(len(r.slots))
	if i.state == "open" {
		r.open++
	}
	if i.milestone != nil {
		i.milestone.count(i.state, 1)
	}
	r.byCreated.insert(i)
	r.byUpdated.insert(i)
	r.byComments.insert(i)
	st.issuesByID[i.id] = i
}

// dropIssue takes an issue and its comments away, leaving the number to s.
func (st *store) dropIssue(i *issue, s slot) {
	r := i.repo
	r.byCreated.remove(i)
	r.byUpdated.remove(i)
	r.byComments.remove(i)
	if i.state == "open" {
		r.open--
	}
	if i.milestone != nil {
		i.milestone.count(i.state, -1)
	}
	for _, k := range i.comments {
		st.forgetComment(r, k)
	}
	r.slots[i.number-1] = s
	delete(st.issuesByID, i.id)
}

// issue writes an issue; the members follow the order of GitHub's own answers.
func (e *enc) issue(k string, i *issue) {
	if k == "" {
		e.open('{')
	} else {
		e.object(k)
	}
	r, api, n := i.repo, i.repo.apiPath(), i.numberText()
	e.apiURL("url", api, "/issues/", n)
	e.apiURL("repository_url", api)
	e.apiURL("labels_url", api, "/issues/", n, "/labels{/name}")
	e.apiURL("comments_url", api, "/issues/", n, "/comments")
	e.apiURL("events_url", api, "/issues/", n, "/events")
	e.webURL("html_url", i.webPath())
	e.num("id", i.id)
	e.str("node_id", i.nodeID())
	e.num("number", i.number)
	e.str("title", i.title)
	e.user("user", i.user)
	e.array("labels")
	for _, l := range i.labels {
		e.label("", r, l)
	}
	e.close(']')
	e.str("state", i.state)
	e.boolean("locked", i.locked)
	if !e.later {
		var first *user
		if len(i.assignees) > 0 {
			first = i.assignees[0]
		}
		e.user("assignee", first)
	}
	e.users("assignees", i.assignees)
	e.milestone("milestone", r, i.milestone)
	e.num("comments", int64(len(i.comments)))
	e.instant("created_at", i.created)
	e.instant("updated_at", i.updated)
	e.instantOrNull("closed_at", i.closed)
	e.str("author_association", r.association(i.user))
	if i.pull == nil {
		e.issueType("type", i.kind)
		e.object("sub_issues_summary")
		e.num("total", 0)
		e.num("completed", 0)
		e.num("percent_completed", 0)
		e.close('}')
		e.object("issue_dependencies_summary")
		e.num("blocked_by", 0)
		e.num("total_blocked_by", 0)
		e.num("blocking", 0)
		e.num("total_blocking", 0)
		e.close('}')
	}
	e.textOrNull("active_lock_reason", i.lockReason)
	if p := i.pull; p != nil {
		e.boolean("draft", p.draft)
		e.object("pull_request")
		e.apiURL("url", api, "/pulls/", n)
		e.webURL("html_url", i.webPath())
		e.webURL("diff_url", i.webPath(), ".diff")
		e.webURL("patch_url", i.webPath(), ".patch")
		e.instantOrNull("merged_at", p.merged)
		e.close('}')
	}
	e.strOrNull("body", i.body)
	if !e.event {
		e.user("closed_by", i.closedBy)
	}
	e.reactions(api+"/issues/"+n+"/reactions", i.reactions)
	e.apiURL("timeline_url", api, "/issues/", n, "/timeline")
	e.null("performed_via_github_app")
	e.textOrNull("state_reason", i.reason)
	e.close('}')
}

func (e *enc) users(k string, us []*user) {
	e.array(k)
	for _, u := range us {
		e.open('{')
		e.userMembers(u, "public")
		e.close('}')
	}
	e.close(']')
}

func (e *enc) reactions(path string, n reactions) {
	e.object("reactions")
	e.apiURL("url", path)
	var total int64
	for _, v := range n {
		total += v
	}
	e.num("total_count", total)
	for k, v := range n {
		e.num(reactionKeys[k], v)
	}
	e.close('}')
}

func (e *enc) issueType(k string, t *issueType) {
	if t == nil {
		e.null(k)
		return
	}
	e.object(k)
	e.num("id", t.id)
	e.str("node_id", nodeID("IT", t.id))
	e.str("name", t.name)
	e.str("description", t.description)
	e.str("color", t.color)
	e.instant("created_at", t.created)
	e.instant("updated_at", t.created)
	e.boolean("is_enabled", true)
	e.close('}')
}

// pathIssue finds the issue of the path: 404 for a number never given out, 410
// for a deleted one, 301 for one that was transferred to where the caller can
// see it.
func (c *call) pathIssue() (*issue, error) {
	n, err := strconv.Atoi(c.param("issue_number"))
	if err != nil || n < 1 || n > len(c.repo.slots) {
		return nil, errNotFound()
	}
	s := c.repo.slots[n-1]
	switch {
	case s.issue != nil:
		if !c.repo.hasIssues && s.issue.pull == nil {
			return nil, errGone("Issues are disabled for this repo")
		}
		return s.issue, nil
	case s.movedTo != nil:
		if !c.canRead(s.movedTo.repo) {
			return nil, errNotFound()
		}
		target := c.api + "/repositories/" + strconv.FormatInt(s.movedTo.repo.id, 10) + "/issues/" + s.movedTo.numberText()
		return nil, &apiError{
			status: http.StatusMovedPermanently, message: "Moved Permanently", url: target,
			header: map[string]string{"Location": target},
		}
	case s.deleted:
		return nil, errGone("This issue was deleted")
	}
	return nil, errNotFound()
}

func (c *call) getIssue() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if i = i.visible(c.now); i == nil {
		return errNotFound()
	}
	c.json(http.StatusOK).issue("", i)
	c.lastModified(i.updated)
	return nil
}

// sortLabels puts labels into the order in which issues show them: by id.
func sortLabels(ls []*label) []*label {
	slices.SortFunc(ls, func(a, b *label) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return slices.Compact(ls)
}
