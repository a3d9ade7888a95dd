package githubsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// apiPath is the path of r in the URLs of other objects.
func (r *repository) apiPath() string { return "/repos/" + r.fullName() }

// repository writes a repository; full adds what only the single GET has. The
// permissions member is left out for a nil viewer, as in webhooks.
func (e *enc) repository(k string, r *repository, viewer *user, full bool) {
	if k == "" {
		e.open('{')
	} else {
		e.object(k)
	}
	api, web := r.apiPath(), "/"+r.fullName()
	e.num("id", r.id)
	e.str("node_id", r.nodeID())
	e.str("name", r.name)
	e.str("full_name", r.fullName())
	e.boolean("private", r.private)
	e.user("owner", r.owner)
	e.webURL("html_url", web)
	e.textOrNull("description", r.description)
	e.boolean("fork", false)
	e.apiURL("url", api)
	for _, u := range repositoryURLs {
		e.apiURL(u.key, api, u.tail)
	}
	e.str("git_url", "git://"+hostOf(e.web)+web+".git")
	e.str("ssh_url", "git@"+hostOf(e.web)+":"+r.fullName()+".git")
	e.webURL("clone_url", web, ".git")
	e.webURL("svn_url", web)
	e.null("mirror_url")
	e.textOrNull("homepage", r.homepage)
	e.textOrNull("language", r.language)
	e.instant("created_at", r.created)
	e.instant("updated_at", r.updated)
	e.instant("pushed_at", r.pushed)
	e.num("size", r.size)
	e.num("stargazers_count", r.stars)
	e.num("watchers_count", r.stars)
	e.num("forks_count", r.forks)
	e.num("open_issues_count", r.open)
	e.num("forks", r.forks)
	e.num("open_issues", r.open)
	e.num("watchers", r.stars)
	e.boolean("has_issues", r.hasIssues)
	e.boolean("has_projects", true)
	e.boolean("has_downloads", true)
	e.boolean("has_wiki", false)
	e.boolean("has_pages", false)
	e.boolean("has_discussions", false)
	if !e.event {
		e.boolean("has_pull_requests", true)
		e.str("pull_request_creation_policy", "all")
	}
	e.boolean("archived", r.archived)
	e.boolean("disabled", false)
	e.boolean("is_template", false)
	e.boolean("allow_forking", true)
	e.boolean("web_commit_signoff_required", false)
	e.array("topics")
	for _, t := range r.topics {
		e.sep()
		e.b = appendString(e.b, t)
	}
	e.close(']')
	e.str("visibility", r.visibility())
	e.str("default_branch", "main")
	e.object("license")
	e.str("key", "apache-2.0")
	e.str("name", "Apache License 2.0")
	e.str("spdx_id", "Apache-2.0")
	e.apiURL("url", "/licenses/apache-2.0")
	e.str("node_id", "MDc6TGljZW5zZTI=")
	e.close('}')
	if viewer != nil {
		p := r.permission(viewer)
		e.object("permissions")
		e.boolean("admin", p == Admin)
		e.boolean("maintain", p == Admin)
		e.boolean("push", p.rank() >= Push.rank())
		e.boolean("triage", p.rank() >= Push.rank())
		e.boolean("pull", p.rank() >= Read.rank())
		e.close('}')
	}
	if full {
		e.num("network_count", r.forks)
		e.num("subscribers_count", r.stars/11)
		if r.owner.kind == "Organization" {
			e.user("organization", r.owner)
		}
		if r.permission(viewer).rank() >= Push.rank() {
			e.boolean("allow_squash_merge", true)
			e.boolean("allow_merge_commit", true)
			e.boolean("allow_rebase_merge", true)
			e.boolean("allow_auto_merge", false)
			e.boolean("delete_branch_on_merge", true)
			e.boolean("allow_update_branch", false)
		}
	}
	e.close('}')
}

// repositoryURLs are the members of a repository that hold a URL below its own.
var repositoryURLs = []struct{ key, tail string }{
	{"forks_url", "/forks"},
	{"keys_url", "/keys{/key_id}"},
	{"collaborators_url", "/collaborators{/collaborator}"},
	{"teams_url", "/teams"},
	{"hooks_url", "/hooks"},
	{"issue_events_url", "/issues/events{/number}"},
	{"events_url", "/events"},
	{"assignees_url", "/assignees{/user}"},
	{"branches_url", "/branches{/branch}"},
	{"tags_url", "/tags"},
	{"blobs_url", "/git/blobs{/sha}"},
	{"git_tags_url", "/git/tags{/sha}"},
	{"git_refs_url", "/git/refs{/sha}"},
	{"trees_url", "/git/trees{/sha}"},
	{"statuses_url", "/statuses/{sha}"},
	{"languages_url", "/languages"},
	{"stargazers_url", "/stargazers"},
	{"contributors_url", "/contributors"},
	{"subscribers_url", "/subscribers"},
	{"subscription_url", "/subscription"},
	{"commits_url", "/commits{/sha}"},
	{"git_commits_url", "/git/commits{/sha}"},
	{"comments_url", "/comments{/number}"},
	{"issue_comment_url", "/issues/comments{/number}"},
	{"contents_url", "/contents/{+path}"},
	{"compare_url", "/compare/{base}...{head}"},
	{"merges_url", "/merges"},
	{"archive_url", "/{archive_format}{/ref}"},
	{"downloads_url", "/downloads"},
	{"issues_url", "/issues{/number}"},
	{"pulls_url", "/pulls{/number}"},
	{"milestones_url", "/milestones{/number}"},
	{"notifications_url", "/notifications{?since,all,participating}"},
	{"labels_url", "/labels{/name}"},
	{"releases_url", "/releases{/id}"},
	{"deployments_url", "/deployments"},
}

func (r *repository) nodeID() string { return nodeID("R", r.id) }

func (r *repository) visibility() string {
	if r.private {
		return "private"
	}
	return "public"
}

func hostOf(base string) string {
	_, host, _ := strings.Cut(base, "://")
	host, _, _ = strings.Cut(host, "/")
	return host
}

func (c *call) getRepository() error {
	c.json(http.StatusOK).repository("", c.repo, c.user, true)
	return nil
}

// listViewerRepositories answers GET /user/repos: what the user owns or has
// been given a permission in.
func (c *call) listViewerRepositories() error {
	if c.user == nil {
		return errUnauthenticated()
	}
	var rows []*repository
	visibility := c.query.Get("visibility")
	if t := c.query.Get("type"); t == "public" || t == "private" {
		visibility = t
	}
	for _, r := range c.st.repoOrder {
		if r.owner != c.user && r.perms[c.user].rank() < Read.rank() {
			continue
		}
		if c.query.Get("type") == "owner" && r.owner != c.user {
			continue
		}
		if visibility != "" && visibility != "all" && visibility != r.visibility() {
			continue
		}
		rows = append(rows, r)
	}
	sortKey := c.query.Get("sort")
	slices.SortStableFunc(rows, func(a, b *repository) int {
		switch sortKey {
		case "created":
			return int(a.created - b.created)
		case "updated":
			return int(a.updated - b.updated)
		case "pushed":
			return int(a.pushed - b.pushed)
		}
		return strings.Compare(strings.ToLower(a.fullName()), strings.ToLower(b.fullName()))
	})
	direction := c.query.Get("direction")
	if direction == "desc" || direction == "" && sortKey != "" && sortKey != "full_name" {
		slices.Reverse(rows)
	}
	e := c.json(http.StatusOK)
	e.open('[')
	for _, r := range countedPage(c, rows) {
		e.repository("", r, c.user, false)
	}
	e.close(']')
	return nil
}

// resolveRepository finds the repository that the path names, by name or by id,
// and redirects when the name is a former one. It returns what follows it.
func (c *call) resolveRepository(segments []string) (rest []string, err error) {
	var r *repository
	if segments[0] == "repositories" {
		id, err := strconv.ParseInt(segments[1], 10, 64)
		if err != nil {
			return nil, errNotFound()
		}
		r, rest = c.st.reposByID[id], segments[2:]
	} else {
		name := strings.ToLower(segments[1] + "/" + segments[2])
		r, rest = c.st.repos[name], segments[3:]
		if r == nil {
			if moved := c.st.redirects[name]; moved != nil && c.canRead(moved) {
				return nil, c.redirectRepository(moved, segments[3:])
			}
		}
	}
	if r == nil || !c.canRead(r) {
		return nil, errNotFound()
	}
	c.repo = r
	return rest, nil
}

func (c *call) canRead(r *repository) bool {
	return r.permission(c.user).rank() >= Read.rank() && c.token.allows("metadata", "read")
}

// redirectRepository sends the client to the form by id: 301 for reads, 307 for
// the rest so that method and body are kept.
func (c *call) redirectRepository(r *repository, rest []string) error {
	target := c.api + "/repositories/" + strconv.FormatInt(r.id, 10) + escapePath(rest)
	if q := c.req.URL.RawQuery; q != "" {
		target += "?" + q
	}
	e := &apiError{status: http.StatusMovedPermanently, message: "Moved Permanently", url: target}
	if c.req.Method != http.MethodGet && c.req.Method != http.MethodHead {
		e.status, e.message = http.StatusTemporaryRedirect, "Temporary Redirect"
	}
	e.header = map[string]string{"Location": target}
	return e
}
