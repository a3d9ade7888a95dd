package githubsim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// assignable tells whether u can be assigned to issues of r: people with access
// of their own, not bots, not the public.
func (r *repository) assignable(u *user) bool {
	return u.kind == "User" && (u == r.owner || r.owner.members[u] || r.perms[u].rank() >= Read.rank())
}

func (c *call) listAssignees() error {
	var rows []*user
	for _, u := range c.st.users {
		if c.repo.assignable(u) {
			rows = append(rows, u)
		}
	}
	slices.SortFunc(rows, func(a, b *user) int { return cmp.Compare(strings.ToLower(a.login), strings.ToLower(b.login)) })
	e := c.json(http.StatusOK)
	e.open('[')
	for _, u := range countedPage(c, rows) {
		e.open('{')
		e.userMembers(u, "public")
		e.close('}')
	}
	e.close(']')
	return nil
}

func (c *call) checkAssignee() error {
	if u := c.st.user(c.param("assignee")); u == nil || !c.repo.assignable(u) {
		return errNotFound()
	}
	c.noContent()
	return nil
}

// changeAssignees answers POST and DELETE of an issue's assignees. Both leave
// out logins that cannot be assigned, and do nothing without push access.
func (c *call) changeAssignees() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if c.user == nil {
		return errUnauthenticated()
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	logins, _, err := b.names("assignees", "login")
	if err != nil {
		return err
	}
	status := http.StatusCreated
	var set []string
	if c.req.Method == http.MethodDelete {
		status = http.StatusOK
		set = []string{}
		for _, u := range i.assignees {
			if !slices.ContainsFunc(logins, func(login string) bool { return strings.EqualFold(login, u.login) }) {
				set = append(set, u.login)
			}
		}
	} else {
		for _, u := range c.assigneeSet(i.assignees, logins) {
			set = append(set, u.login)
		}
	}
	if c.canPush() && set != nil {
		c.editIssue(i, issuePatch{assignees: set})
	}
	c.json(status).issue("", i)
	return nil
}
