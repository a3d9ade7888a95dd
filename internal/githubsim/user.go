package githubsim

import (
	"net/http"
	"net/url"
	"strconv"
)

// userMembers writes the members that every form of an account has; view is
// public, or private for what somebody sees of himself.
func (e *enc) userMembers(u *user, view string) {
	seg := url.PathEscape(u.login)
	api := "/users/" + seg
	id := strconv.FormatInt(u.id, 10)
	e.str("login", u.login)
	e.num("id", u.id)
	e.str("node_id", u.nodeID())
	e.webURL("avatar_url", "/avatars/u/", id, "?v=4")
	e.str("gravatar_id", "")
	e.apiURL("url", api)
	e.webURL("html_url", u.webPath())
	e.apiURL("followers_url", api, "/followers")
	e.apiURL("following_url", api, "/following{/other_user}")
	e.apiURL("gists_url", api, "/gists{/gist_id}")
	e.apiURL("starred_url", api, "/starred{/owner}{/repo}")
	e.apiURL("subscriptions_url", api, "/subscriptions")
	e.apiURL("organizations_url", api, "/orgs")
	e.apiURL("repos_url", api, "/repos")
	e.apiURL("events_url", api, "/events{/privacy}")
	e.apiURL("received_events_url", api, "/received_events")
	e.str("type", u.kind)
	e.str("user_view_type", view)
	e.boolean("site_admin", false)
}

func (u *user) nodeID() string {
	switch u.kind {
	case "Bot":
		return nodeID("BOT", u.id)
	case "Organization":
		return nodeID("O", u.id)
	}
	return nodeID("U", u.id)
}

func (u *user) webPath() string {
	if n := len(u.login); u.kind == "Bot" && n > 5 {
		return "/apps/" + u.login[:n-len("[bot]")]
	}
	return "/" + u.login
}

// user writes a simple-user under key k, or null: accounts that were deleted
// leave their issues without one.
func (e *enc) user(k string, u *user) {
	if u == nil {
		e.null(k)
		return
	}
	e.object(k)
	e.userMembers(u, "public")
	e.close('}')
}

// profile writes a public-user, or the private-user that somebody sees of himself.
func (e *enc) profile(u *user, repos int64, private bool) {
	view := "public"
	if private {
		view = "private"
	}
	e.open('{')
	e.userMembers(u, view)
	e.textOrNull("name", u.name)
	e.textOrNull("company", u.company)
	e.str("blog", "")
	e.textOrNull("location", u.location)
	e.null("email")
	e.null("hireable")
	e.textOrNull("bio", u.bio)
	e.null("twitter_username")
	e.num("public_repos", repos)
	e.num("public_gists", 0)
	e.num("followers", u.id%311)
	e.num("following", u.id%97)
	e.instant("created_at", u.created)
	e.instant("updated_at", u.created+86400*200)
	if private {
		e.num("private_gists", 0)
		e.num("total_private_repos", 0)
		e.num("owned_private_repos", 0)
		e.num("disk_usage", 20480)
		e.num("collaborators", 0)
		e.boolean("two_factor_authentication", true)
		e.object("plan")
		e.str("name", "pro")
		e.num("space", 976562499)
		e.num("collaborators", 0)
		e.num("private_repos", 9999)
		e.close('}')
	}
	e.close('}')
}

func (c *call) getViewer() error {
	if c.user == nil {
		return errUnauthenticated()
	}
	c.json(http.StatusOK).profile(c.user, c.st.ownedBy(c.user), true)
	return nil
}

func (c *call) getUser() error {
	u := c.st.user(c.param("username"))
	if u == nil {
		return errNotFound()
	}
	c.json(http.StatusOK).profile(u, c.st.ownedBy(u), false)
	return nil
}

func (st *store) ownedBy(u *user) int64 {
	var n int64
	for _, r := range st.repoOrder {
		if r.owner == u && !r.private {
			n++
		}
	}
	return n
}

// association is GitHub's author_association of u in r.
func (r *repository) association(u *user) string {
	switch {
	case u == nil:
		return "NONE"
	case u == r.owner:
		return "OWNER"
	case r.owner.members[u]:
		return "MEMBER"
	case r.perms[u].rank() >= Push.rank():
		return "COLLABORATOR"
	case r.contributors[u]:
		return "CONTRIBUTOR"
	}
	return "NONE"
}
