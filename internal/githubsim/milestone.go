package githubsim

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type milestone struct {
	id, number       int64
	title            string
	description      *string
	state            string
	creator          *user
	open, shut       int64 // issues and pull requests
	created, updated int64
	closed, due      int64
}

func (r *repository) milestone(number int64) *milestone {
	if number < 1 || number > int64(len(r.milestones)) {
		return nil
	}
	return r.milestones[number-1]
}

func (e *enc) milestone(k string, r *repository, m *milestone) {
	if m == nil {
		e.null(k)
		return
	}
	if k == "" {
		e.open('{')
	} else {
		e.object(k)
	}
	n := strconv.FormatInt(m.number, 10)
	e.apiURL("url", r.apiPath(), "/milestones/", n)
	e.webURL("html_url", "/", r.fullName(), "/milestone/", n)
	e.apiURL("labels_url", r.apiPath(), "/milestones/", n, "/labels")
	e.num("id", m.id)
	e.str("node_id", nodeID("MI", r.id, m.id))
	e.num("number", m.number)
	e.str("title", m.title)
	e.strOrNull("description", m.description)
	e.user("creator", m.creator)
	e.num("open_issues", m.open)
	e.num("closed_issues", m.shut)
	e.str("state", m.state)
	e.instant("created_at", m.created)
	e.instant("updated_at", m.updated)
	e.instantOrNull("due_on", m.due)
	e.instantOrNull("closed_at", m.closed)
	e.close('}')
}

func (c *call) listMilestones() error {
	state, err := c.choice("state", "open", "open", "closed", "all")
	if err != nil {
		return err
	}
	sortKey, err := c.choice("sort", "due_on", "due_on", "completeness")
	if err != nil {
		return err
	}
	direction, err := c.choice("direction", "asc", "asc", "desc")
	if err != nil {
		return err
	}
	var rows []*milestone
	for _, m := range c.repo.milestones {
		if m != nil && (state == "all" || m.state == state) {
			rows = append(rows, m)
		}
	}
	slices.SortStableFunc(rows, func(a, b *milestone) int {
		if sortKey == "completeness" {
			return cmp.Compare(a.completeness(), b.completeness())
		}
		if a.due == 0 || b.due == 0 { // without a date comes last
			return cmp.Compare(b.due, a.due)
		}
		return cmp.Compare(a.due, b.due)
	})
	if direction == "desc" {
		slices.Reverse(rows)
	}
	e := c.json(http.StatusOK)
	e.open('[')
	for _, m := range countedPage(c, rows) {
		e.milestone("", c.repo, m)
	}
	e.close(']')
	return nil
}

func (m *milestone) completeness() float64 {
	if m.open+m.shut == 0 {
		return 0
	}
	return float64(m.shut) / float64(m.open+m.shut)
}

func (c *call) pathMilestone() (*milestone, error) {
	n, err := strconv.ParseInt(c.param("milestone_number"), 10, 64)
	if err != nil {
		return nil, errNotFound()
	}
	if m := c.repo.milestone(n); m != nil {
		return m, nil
	}
	return nil, errNotFound()
}

func (c *call) getMilestone() error {
	m, err := c.pathMilestone()
	if err != nil {
		return err
	}
	c.json(http.StatusOK).milestone("", c.repo, m)
	return nil
}

func (c *call) createMilestone() error {
	if err := c.needPush(); err != nil {
		return err
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	if !b.has("title") {
		return errSchema("\"title\" wasn't supplied.")
	}
	m := &milestone{state: "open", creator: c.user, created: c.now, updated: c.now}
	if err := c.fillMilestone(m, b); err != nil {
		return err
	}
	m.id, m.number = c.st.milestoneIDs.next(), int64(len(c.repo.milestones))+1
	c.repo.milestones = append(c.repo.milestones, m)
	c.emitMilestone("created", c.repo, m, nil)
	c.json(http.StatusCreated).milestone("", c.repo, m)
	c.location(c.repo.apiPath(), "/milestones/", strconv.FormatInt(m.number, 10))
	return nil
}

func (c *call) updateMilestone() error {
	m, err := c.pathMilestone()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	changed := *m
	if err := c.fillMilestone(&changed, b); err != nil {
		return err
	}
	before := *m
	*m = changed
	if changed != before {
		m.updated = max(m.updated, c.now)
	}
	if before.title != m.title || before.due != m.due || !equalText(before.description, m.description) {
		c.emitMilestone("edited", c.repo, m, &before)
	}
	if before.state != m.state {
		action := "closed"
		if m.state == "open" {
			action = "opened"
		}
		c.emitMilestone(action, c.repo, m, nil)
	}
	c.json(http.StatusOK).milestone("", c.repo, m)
	return nil
}

// fillMilestone checks a milestone's body and puts its values into m, whose id
// is 0 when it is new.
func (c *call) fillMilestone(m *milestone, b object) error {
	if title, ok, err := b.text("title"); err != nil {
		return err
	} else if ok {
		if strings.TrimSpace(title) == "" {
			return errInvalid(fieldError{resource: "Milestone", code: "missing_field", field: "title"})
		}
		for _, other := range c.repo.milestones {
			if other != nil && other.id != m.id && other.title == title {
				return errInvalid(fieldError{resource: "Milestone", code: "already_exists", field: "title"})
			}
		}
		m.title = title
	}
	if text, ok, err := b.nullableText("description"); err != nil {
		return err
	} else if ok {
		m.description = text
	}
	if due, ok, err := b.nullableText("due_on"); err != nil {
		return err
	} else if ok {
		m.due = 0
		if due != nil {
			t, err := time.Parse(time.RFC3339, *due)
			if err != nil {
				return errInvalid(fieldError{resource: "Milestone", code: "invalid", field: "due_on"})
			}
			// GitHub keeps the day and gives it back as that day's start in
			// its own time zone.
			m.due = t.UTC().Truncate(24*time.Hour).Unix() + 7*3600
		}
	}
	if state, ok, err := b.text("state"); err != nil {
		return err
	} else if ok && state != m.state {
		switch state {
		case "closed":
			m.closed = c.now
		case "open":
			m.closed = 0
		default:
			return errInvalid(fieldError{resource: "Milestone", code: "invalid", field: "state", value: quoted(state)})
		}
		m.state = state
	}
	return nil
}

func (c *call) deleteMilestone() error {
	m, err := c.pathMilestone()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	c.removeMilestone(c.repo, m)
	c.noContent()
	return nil
}

// removeMilestone takes m off the repository and its issues, whose updated_at
// stays. Its number is not given out again.
func (c *call) removeMilestone(r *repository, m *milestone) {
	r.milestones[m.number-1] = nil
	for _, i := range r.byCreated.rows {
		if i.milestone == m {
			i.milestone = nil
		}
	}
	c.emitMilestone("deleted", r, m, nil)
}

// listMilestoneLabels answers the labels of the issues in a milestone.
func (c *call) listMilestoneLabels() error {
	m, err := c.pathMilestone()
	if err != nil {
		return err
	}
	var rows []*label
	for _, l := range c.repo.labelOrder {
		if slices.ContainsFunc(c.repo.byCreated.rows, func(i *issue) bool {
			return i.milestone == m && slices.Contains(i.labels, l)
		}) {
			rows = append(rows, l)
		}
	}
	e := c.json(http.StatusOK)
	e.open('[')
	for _, l := range countedPage(c, rows) {
		e.label("", c.repo, l)
	}
	e.close(']')
	return nil
}

func equalText(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}
