package githubsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// comment is a comment on an issue or on the conversation of a pull request.
type comment struct {
	id               int64
	issue            *issue
	user             *user
	body             string
	created, updated int64
	reactions        reactions
}

func (e *enc) comment(k string, m *comment) {
	if k == "" {
		e.open('{')
	} else {
		e.object(k)
	}
	api, id := m.issue.repo.apiPath(), strconv.FormatInt(m.id, 10)
	e.apiURL("url", api, "/issues/comments/", id)
	e.webURL("html_url", m.issue.webPath(), "#issuecomment-", id)
	e.apiURL("issue_url", m.issue.apiPath())
	e.num("id", m.id)
	e.str("node_id", nodeID("IC", m.issue.repo.id, m.id))
	e.user("user", m.user)
	e.instant("created_at", m.created)
	e.instant("updated_at", m.updated)
	e.str("body", m.body)
	e.str("author_association", m.issue.repo.association(m.user))
	e.reactions(api+"/issues/comments/"+id+"/reactions", m.reactions)
	e.null("performed_via_github_app")
	if !e.event {
		e.null("pin")
		e.null("minimized")
	}
	e.close('}')
}

func (st *store) addComment(m *comment) {
	r := m.issue.repo
	st.comments[m.id] = m
	m.issue.comments = append(m.issue.comments, m)
	r.commentsByCreated.insert(m)
	r.commentsByUpdated.insert(m)
}

func (st *store) forgetComment(r *repository, m *comment) {
	delete(st.comments, m.id)
	r.commentsByCreated.remove(m)
	r.commentsByUpdated.remove(m)
}

// listComments answers the comments of all issues and pull requests of the
// repository. Its links count pages.
func (c *call) listComments() error {
	sortKey, err := c.choice("sort", "created", "created", "updated")
	if err != nil {
		return err
	}
	// Without sort, direction is ignored (so the description). What it is when
	// only sort is given is not said; newest first, as elsewhere.
	otherwise := "asc"
	if c.query.Get("sort") != "" {
		otherwise = "desc"
	}
	direction, err := c.choice("direction", otherwise, "asc", "desc")
	if err != nil {
		return err
	}
	if c.query.Get("sort") == "" {
		direction = "asc"
	}
	since, hasSince, err := c.since()
	if err != nil {
		return err
	}
	rows := c.repo.commentsByCreated.rows
	if sortKey == "updated" {
		rows = c.repo.commentsByUpdated.rows
		if hasSince {
			rows = rows[c.repo.commentsByUpdated.find(rank{key: since}):]
		}
	} else if hasSince {
		rows = slices.DeleteFunc(slices.Clone(rows), func(m *comment) bool { return m.updated < since })
	}
	e := c.json(http.StatusOK)
	e.open('[')
	if direction == "desc" {
		for _, m := range countedPageBackwards(c, rows) {
			e.comment("", m)
		}
	} else {
		for _, m := range countedPage(c, rows) {
			e.comment("", m)
		}
	}
	e.close(']')
	return nil
}

func (c *call) listIssueComments() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	since, hasSince, err := c.since()
	if err != nil {
		return err
	}
	rows := i.comments
	if hasSince {
		rows = slices.DeleteFunc(slices.Clone(rows), func(m *comment) bool { return m.updated < since })
	}
	e := c.json(http.StatusOK)
	e.open('[')
	for _, m := range countedPage(c, rows) {
		e.comment("", m)
	}
	e.close(']')
	return nil
}

func (c *call) pathComment() (*comment, error) {
	id, err := strconv.ParseInt(c.param("comment_id"), 10, 64)
	if err != nil {
		return nil, errNotFound()
	}
	m := c.st.comments[id]
	if m == nil || m.issue.repo != c.repo {
		return nil, errNotFound()
	}
	return m, nil
}

func (c *call) getComment() error {
	m, err := c.pathComment()
	if err != nil {
		return err
	}
	c.json(http.StatusOK).comment("", m)
	c.lastModified(m.updated)
	return nil
}

// commentBody reads and checks the one field a comment has.
func (c *call) commentBody() (string, error) {
	b, err := c.object()
	if err != nil {
		return "", err
	}
	if !b.has("body") {
		return "", errSchema("\"body\" wasn't supplied.")
	}
	text, _, err := b.text("body")
	if err != nil {
		return "", err
	}
	message := ""
	switch {
	case strings.TrimSpace(text) == "":
		message = "Body cannot be blank"
	case utf8.RuneCountInString(text) > maxBody:
		message = fmt.Sprintf("Body is too long (maximum is %d characters)", maxBody)
	default:
		return text, nil
	}
	return "", errInvalid(fieldError{resource: "IssueComment", code: "unprocessable", field: "data", message: message})
}

func (c *call) createComment() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if c.user == nil {
		return errUnauthenticated()
	}
	if i.locked && !c.canPush() {
		return &apiError{status: http.StatusForbidden, message: "Unable to create comment because issue is locked."}
	}
	text, err := c.commentBody()
	if err != nil {
		return err
	}
	m := c.newComment(i, text)
	c.json(http.StatusCreated).comment("", m)
	c.location(i.repo.apiPath(), "/issues/comments/", strconv.FormatInt(m.id, 10))
	return nil
}

func (c *call) newComment(i *issue, text string) *comment {
	m := &comment{id: c.st.commentIDs.next(), issue: i, user: c.user, body: text, created: c.now, updated: c.now}
	i.repo.change(i, func() {
		c.st.addComment(m)
		i.touch(c.now)
	})
	c.emitComment("created", m, nil)
	return m
}

func (c *call) updateComment() error {
	m, err := c.writableComment()
	if err != nil {
		return err
	}
	text, err := c.commentBody()
	if err != nil {
		return err
	}
	c.editComment(m, text)
	c.json(http.StatusOK).comment("", m)
	return nil
}

// editComment changes a comment's text. Its issue's updated_at stays: only the
// list of comments shows the edit.
func (c *call) editComment(m *comment, text string) {
	if m.body == text {
		return
	}
	before := m.body
	r := m.issue.repo
	r.commentsByUpdated.remove(m)
	m.body, m.updated = text, max(m.updated, c.now)
	r.commentsByUpdated.insert(m)
	c.emitComment("edited", m, &before)
}

func (c *call) deleteComment() error {
	m, err := c.writableComment()
	if err != nil {
		return err
	}
	c.removeComment(m)
	c.noContent()
	return nil
}

func (c *call) removeComment(m *comment) {
	i := m.issue
	i.repo.change(i, func() {
		i.comments = slices.DeleteFunc(i.comments, func(x *comment) bool { return x == m })
		i.touch(c.now)
	})
	c.st.forgetComment(i.repo, m)
	c.emitComment("deleted", m, nil)
}

// writableComment finds the comment of the path for somebody who may change it:
// its author, or who can push.
func (c *call) writableComment() (*comment, error) {
	m, err := c.pathComment()
	if err != nil {
		return nil, err
	}
	if c.user == nil {
		return nil, errUnauthenticated()
	}
	if m.user != c.user && !c.canPush() {
		return nil, errForbidden()
	}
	return m, nil
}
