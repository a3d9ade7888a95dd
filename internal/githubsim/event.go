package githubsim

import "time"

// emit builds and queues one webhook event. Payloads show the state after the
// change, so it is called last, under the store's lock.
func (c *call) emit(event, action string, r *repository, members func(*enc)) {
	if !c.s.hooks.enabled() {
		return
	}
	e := &enc{api: c.api, web: c.web, event: true}
	e.open('{')
	e.str("action", action)
	members(e)
	e.repository("repository", r, nil, false)
	if r.owner.kind == "Organization" {
		e.organization("organization", r.owner)
	}
	e.user("sender", c.user)
	e.close('}')
	c.s.hooks.send(event, action, r.id, e.b)
}

// emitIssue sends an issues event. Pull requests have events of their own, which
// are not simulated.
func (c *call) emitIssue(action string, i *issue, members func(*enc)) {
	if i.pull != nil {
		return
	}
	c.emit("issues", action, i.repo, func(e *enc) {
		e.issue("issue", i)
		if members != nil {
			members(e)
		}
	})
}

// issueChanges writes what an edit replaced.
func (e *enc) issueChanges(before, after *issue) {
	e.object("changes")
	if before.title != after.title {
		e.from("title", before.title)
	}
	if !equalText(before.body, after.body) {
		former := "" // GitHub's description has no null here
		if before.body != nil {
			former = *before.body
		}
		e.from("body", former)
	}
	e.close('}')
}

func (e *enc) from(k, v string) {
	e.object(k)
	e.str("from", v)
	e.close('}')
}

func (c *call) emitComment(action string, m *comment, before *string) {
	c.emit("issue_comment", action, m.issue.repo, func(e *enc) {
		if before != nil {
			e.object("changes")
			e.from("body", *before)
			e.close('}')
		}
		e.issue("issue", m.issue)
		e.comment("comment", m)
	})
}

func (c *call) emitLabel(action string, r *repository, l, before *label) {
	c.emit("label", action, r, func(e *enc) {
		e.label("label", r, l)
		if before == nil {
			return
		}
		e.object("changes")
		if before.name != l.name {
			e.from("name", before.name)
		}
		if before.color != l.color {
			e.from("color", before.color)
		}
		if !equalText(before.description, l.description) {
			text := ""
			if before.description != nil {
				text = *before.description
			}
			e.from("description", text)
		}
		e.close('}')
	})
}

func (c *call) emitMilestone(action string, r *repository, m, before *milestone) {
	c.emit("milestone", action, r, func(e *enc) {
		e.milestone("milestone", r, m)
		if before == nil {
			return
		}
		e.object("changes")
		if before.title != m.title {
			e.from("title", before.title)
		}
		if !equalText(before.description, m.description) {
			text := ""
			if before.description != nil {
				text = *before.description
			}
			e.from("description", text)
		}
		if before.due != m.due {
			former := "" // no null here either
			if before.due != 0 {
				former = moment(before.due).Format(time.RFC3339)
			}
			e.from("due_on", former)
		}
		e.close('}')
	})
}

// organization writes the short form that webhooks have.
func (e *enc) organization(k string, u *user) {
	api := "/orgs/" + u.login
	e.object(k)
	e.str("login", u.login)
	e.num("id", u.id)
	e.str("node_id", u.nodeID())
	e.apiURL("url", api)
	e.apiURL("repos_url", api, "/repos")
	e.apiURL("events_url", api, "/events")
	e.apiURL("hooks_url", api, "/hooks")
	e.apiURL("issues_url", api, "/issues")
	e.apiURL("members_url", api, "/members{/member}")
	e.apiURL("public_members_url", api, "/public_members{/member}")
	e.webURL("avatar_url", "/avatars/u/", u.login)
	e.str("description", u.bio)
	e.close('}')
}
