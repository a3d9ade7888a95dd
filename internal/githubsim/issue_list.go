package githubsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// issueQuery is the parsed query of GET /repos/{owner}/{repo}/issues.
type issueQuery struct {
	list      *sortedList[*issue]
	byUpdated bool // list is the one by updated_at
	ascending bool
	state     string
	since     int64
	hasSince  bool
	labels    []*label
	creator   *user
	assignee  *user
	milestone *milestone
	kind      *issueType
	mentioned string
	none, any map[string]bool // parameters given as "none" and "*"
	pullsOnly bool            // the repository has issues switched off
	empty     bool            // nothing can match
	now       int64
}

func (c *call) issueQuery() (*issueQuery, error) {
	q := &issueQuery{none: map[string]bool{}, any: map[string]bool{}, pullsOnly: !c.repo.hasIssues, now: c.now}
	var err error
	if q.state, err = c.choice("state", "open", "open", "closed", "all"); err != nil {
		return nil, err
	}
	sortKey, err := c.choice("sort", "created", "created", "updated", "comments")
	if err != nil {
		return nil, err
	}
	switch sortKey {
	case "created":
		q.list = &c.repo.byCreated
	case "updated":
		q.list, q.byUpdated = &c.repo.byUpdated, true
	case "comments":
		q.list = &c.repo.byComments
	}
	direction, err := c.choice("direction", "desc", "asc", "desc")
	if err != nil {
		return nil, err
	}
	q.ascending = direction == "asc"
	if q.since, q.hasSince, err = c.since(); err != nil {
		return nil, err
	}
	// GitHub answers an empty list to the start of 1970.
	q.empty = q.hasSince && q.since <= 0
	return q, q.people(c)
}

// people reads the filters that name something, which must exist.
func (q *issueQuery) people(c *call) error {
	login := func(param string) (*user, error) {
		v := c.query.Get(param)
		if v == "" || q.special(param, v) {
			return nil, nil
		}
		if u := c.st.user(v); u != nil {
			return u, nil
		}
		return nil, errInvalid(fieldError{resource: "Issue", field: param, code: "invalid", value: quoted(v)})
	}
	var err error
	if q.creator, err = login("creator"); err != nil {
		return err
	}
	if q.assignee, err = login("assignee"); err != nil {
		return err
	}
	q.mentioned = c.query.Get("mentioned")
	if v := c.query.Get("milestone"); v != "" && !q.special("milestone", v) {
		n, err := strconv.ParseInt(v, 10, 64)
		if q.milestone = c.repo.milestone(n); err != nil || q.milestone == nil {
			return errInvalid(fieldError{resource: "Issue", field: "milestone", code: "invalid", value: quoted(v)})
		}
	}
	if v := c.query.Get("type"); v != "" && !q.special("type", v) {
		if q.kind = c.repo.issueType(v); q.kind == nil {
			q.empty = true
		}
	}
	for name := range strings.SplitSeq(c.query.Get("labels"), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		l := c.repo.label(name)
		if l == nil {
			q.empty = true
			continue
		}
		q.labels = append(q.labels, l)
	}
	return nil
}

func (q *issueQuery) special(param, v string) bool {
	q.none[param] = v == "none"
	q.any[param] = v == "*"
	return q.none[param] || q.any[param]
}

func (q *issueQuery) match(i *issue) bool {
	if q.state != "all" && i.state != q.state || q.pullsOnly && i.pull == nil {
		return false
	}
	if seen := i.visible(q.now); seen == nil || seen != i && q.byUpdated {
		return false // not there yet, or not at this place
	}
	if q.hasSince && i.updated < q.since {
		return false
	}
	if q.creator != nil && i.user != q.creator {
		return false
	}
	if q.assignee != nil && !slices.Contains(i.assignees, q.assignee) ||
		q.none["assignee"] && len(i.assignees) > 0 || q.any["assignee"] && len(i.assignees) == 0 {
		return false
	}
	if q.milestone != nil && i.milestone != q.milestone ||
		q.none["milestone"] && i.milestone != nil || q.any["milestone"] && i.milestone == nil {
		return false
	}
	if q.kind != nil && i.kind != q.kind ||
		q.none["type"] && i.kind != nil || q.any["type"] && i.kind == nil {
		return false
	}
	for _, l := range q.labels {
		if !slices.Contains(i.labels, l) {
			return false
		}
	}
	return q.mentioned == "" || i.body != nil && strings.Contains(strings.ToLower(*i.body), "@"+strings.ToLower(q.mentioned))
}

// from returns the position to start at and the step to go on by. A cursor
// stands for the place after (or before) one row, so that rows which move
// meanwhile neither hide nor repeat others.
func (q *issueQuery) from(after *rank, backwards bool) (start, step int) {
	rows := q.list.rows
	step = 1
	if q.ascending == backwards {
		step = -1
	}
	switch {
	case after != nil:
		start = q.list.find(*after)
		if step < 0 {
			start--
		} else if start < len(rows) && q.list.rank(rows[start]) == *after {
			start++
		}
	case step < 0:
		start = len(rows) - 1
	}
	if first := q.firstSince(); first > start && step > 0 {
		start = first
	}
	return start, step
}

// firstSince is the first row that since lets through, when the order tells.
func (q *issueQuery) firstSince() int {
	if !q.hasSince || !q.byUpdated {
		return 0
	}
	return q.list.find(rank{key: q.since})
}

// collect returns up to limit matching rows after skipping some, and whether
// more follow.
func (q *issueQuery) collect(start, step, skip, limit int) (rows []*issue, more bool) {
	if q.empty {
		return nil, false
	}
	stop := -1
	if step < 0 {
		stop = q.firstSince() - 1
	}
	for k := start; k > stop && k < len(q.list.rows); k += step {
		i := q.list.rows[k]
		if !q.match(i) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(rows) == limit {
			return rows, true
		}
		rows = append(rows, i)
	}
	return rows, false
}

func (c *call) listIssues() error {
	q, err := c.issueQuery()
	if err != nil {
		return err
	}
	page, size := c.page(), c.perPage()
	after, before := c.query.Get("after"), c.query.Get("before")
	if after == "" && before == "" && page*size >= maxCountedIssues {
		return &apiError{
			status:  http.StatusUnprocessableEntity,
			message: "Pagination with the page parameter is not supported for large datasets, please use cursor based pagination (after/before)",
		}
	}
	var cursor *rank
	if text := after + before; text != "" {
		r, ok := parseCursor(text)
		if !ok || after != "" && before != "" {
			return errInvalid(fieldError{resource: "Issue", field: "after", code: "invalid", value: quoted(text)})
		}
		cursor = &r
	}
	skip := 0
	if cursor == nil {
		skip = (page - 1) * size
	}
	start, step := q.from(cursor, before != "")
	rows, more := q.collect(start, step, skip, size)
	next, prev := more, page > 1
	if before != "" {
		slices.Reverse(rows)
		next, prev = true, more
	} else if after != "" {
		prev = true
	}
	if len(rows) > 0 {
		var l links
		if next {
			l.add(c, "next", map[string]string{"after": q.list.rank(rows[len(rows)-1]).cursor(), "page": strconv.Itoa(page + 1)})
		}
		if prev {
			l.add(c, "prev", map[string]string{"before": q.list.rank(rows[0]).cursor(), "page": strconv.Itoa(max(page-1, 1))})
		}
		l.set(c.header)
	}
	e := c.json(http.StatusOK)
	e.b = make([]byte, 0, len(rows)*6500+16)
	e.open('[')
	for _, i := range rows {
		e.issue("", i)
	}
	e.close(']')
	return nil
}

func (r *repository) issueType(name string) *issueType {
	for _, t := range r.owner.types {
		if strings.EqualFold(t.name, name) {
			return t
		}
	}
	return nil
}
