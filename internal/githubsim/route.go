package githubsim

import (
	"net/http"
	"strings"
)

// route is one operation. Patterns of operations inside a repository start
// after its name or id; {x} takes one segment, {x...} the rest.
type route struct {
	method  string
	inRepo  bool
	pattern []string
	handle  func(*call) error
	accepts string // X-Accepted-GitHub-Permissions: alternatives by ;
	docs    string // page below docs.github.com/rest
	content bool   // counts as content creation
}

// restOfPath is the parameter that holds the escaped path after the repository.
const restOfPath = "/"

// What operations ask of a fine-grained token or an App.
const (
	metadataRead = "metadata=read"
	issuesRead   = "issues=read"
	issuesWrite  = "issues=write"
	talkRead     = "issues=read; pull_requests=read"
	talkWrite    = "issues=write; pull_requests=write"
)

func apiRoutes() []route {
	in := func(method, pattern string, handle func(*call) error, accepts, docs string) route {
		return route{method: method, inRepo: true, pattern: segmentsOf(pattern), handle: handle, accepts: accepts, docs: docs}
	}
	out := func(method, pattern string, handle func(*call) error, docs string) route {
		return route{method: method, pattern: segmentsOf(pattern), handle: handle, docs: docs}
	}
	content := func(r route) route { r.content = true; return r }
	return []route{
		out("GET", "user", (*call).getViewer, "/users/users#get-the-authenticated-user"),
		out("GET", "users/{username}", (*call).getUser, "/users/users#get-a-user"),
		out("GET", "user/repos", (*call).listViewerRepositories, "/repos/repos#list-repositories-for-the-authenticated-user"),
		out("GET", "rate_limit", (*call).getRateLimit, "/rate-limit/rate-limit#get-rate-limit-status-for-the-authenticated-user"),
		out("GET", "meta", (*call).getMeta, "/meta/meta#get-apiname-meta-information"),
		out("POST", "graphql", (*call).graphql, "/graphql"),

		in("GET", "", (*call).getRepository, metadataRead, "/repos/repos#get-a-repository"),
		in("GET", "assignees", (*call).listAssignees, issuesRead, "/issues/assignees#list-assignees"),
		in("GET", "assignees/{assignee}", (*call).checkAssignee, issuesRead, "/issues/assignees#check-if-a-user-can-be-assigned"),

		in("GET", "issues", (*call).listIssues, issuesRead, "/issues/issues#list-repository-issues"),
		content(in("POST", "issues", (*call).createIssue, issuesWrite, "/issues/issues#create-an-issue")),
		in("GET", "issues/comments", (*call).listComments, talkRead, "/issues/comments#list-issue-comments-for-a-repository"),
		in("GET", "issues/comments/{comment_id}", (*call).getComment, talkRead, "/issues/comments#get-an-issue-comment"),
		in("PATCH", "issues/comments/{comment_id}", (*call).updateComment, talkWrite, "/issues/comments#update-an-issue-comment"),
		in("DELETE", "issues/comments/{comment_id}", (*call).deleteComment, talkWrite, "/issues/comments#delete-an-issue-comment"),
		in("GET", "issues/{issue_number}", (*call).getIssue, issuesRead, "/issues/issues#get-an-issue"),
		in("PATCH", "issues/{issue_number}", (*call).updateIssue, talkWrite, "/issues/issues#update-an-issue"),
		in("PUT", "issues/{issue_number}/lock", (*call).lockIssue, talkWrite, "/issues/issues#lock-an-issue"),
		in("DELETE", "issues/{issue_number}/lock", (*call).unlockIssue, talkWrite, "/issues/issues#unlock-an-issue"),
		in("GET", "issues/{issue_number}/comments", (*call).listIssueComments, talkRead, "/issues/comments#list-issue-comments"),
		content(in("POST", "issues/{issue_number}/comments", (*call).createComment, talkWrite, "/issues/comments#create-an-issue-comment")),
		in("POST", "issues/{issue_number}/assignees", (*call).changeAssignees, issuesWrite, "/issues/assignees#add-assignees-to-an-issue"),
		in("DELETE", "issues/{issue_number}/assignees", (*call).changeAssignees, issuesWrite, "/issues/assignees#remove-assignees-from-an-issue"),
		in("GET", "issues/{issue_number}/labels", (*call).listIssueLabels, talkRead, "/issues/labels#list-labels-for-an-issue"),
		in("POST", "issues/{issue_number}/labels", (*call).changeIssueLabels, talkWrite, "/issues/labels#add-labels-to-an-issue"),
		in("PUT", "issues/{issue_number}/labels", (*call).changeIssueLabels, talkWrite, "/issues/labels#set-labels-for-an-issue"),
		in("DELETE", "issues/{issue_number}/labels", (*call).changeIssueLabels, talkWrite, "/issues/labels#remove-all-labels-from-an-issue"),
		in("DELETE", "issues/{issue_number}/labels/{name...}", (*call).removeIssueLabel, talkWrite, "/issues/labels#remove-a-label-from-an-issue"),

		in("GET", "labels", (*call).listLabels, talkRead, "/issues/labels#list-labels-for-a-repository"),
		in("POST", "labels", (*call).createLabel, talkWrite, "/issues/labels#create-a-label"),
		in("GET", "labels/{name...}", (*call).getLabel, talkRead, "/issues/labels#get-a-label"),
		in("PATCH", "labels/{name...}", (*call).updateLabel, talkWrite, "/issues/labels#update-a-label"),
		in("DELETE", "labels/{name...}", (*call).deleteLabel, talkWrite, "/issues/labels#delete-a-label"),

		in("GET", "milestones", (*call).listMilestones, talkRead, "/issues/milestones#list-milestones"),
		in("POST", "milestones", (*call).createMilestone, talkWrite, "/issues/milestones#create-a-milestone"),
		in("GET", "milestones/{milestone_number}", (*call).getMilestone, talkRead, "/issues/milestones#get-a-milestone"),
		in("PATCH", "milestones/{milestone_number}", (*call).updateMilestone, talkWrite, "/issues/milestones#update-a-milestone"),
		in("DELETE", "milestones/{milestone_number}", (*call).deleteMilestone, talkWrite, "/issues/milestones#delete-a-milestone"),
		in("GET", "milestones/{milestone_number}/labels", (*call).listMilestoneLabels, talkRead, "/issues/labels#list-labels-for-issues-in-a-milestone"),
	}
}

func segmentsOf(pattern string) []string {
	if pattern == "" {
		return nil
	}
	return strings.Split(pattern, "/")
}

// route finds the operation of a request and fills in its parameters. HEAD is
// answered like GET.
func (s *Server) route(c *call, inRepo bool, segments []string) (*route, bool) {
	method := c.req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for k := range s.routes {
		rt := &s.routes[k]
		if rt.method == method && rt.inRepo == inRepo && rt.match(segments, c.params) {
			return rt, true
		}
	}
	return nil, false
}

func (rt *route) match(segments []string, params map[string]string) bool {
	for k, p := range rt.pattern {
		if k >= len(segments) {
			return false
		}
		name, isParam := strings.CutPrefix(p, "{")
		if !isParam {
			if p != segments[k] {
				return false
			}
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if name, rest := strings.CutSuffix(name, "..."); rest {
			params[name] = strings.Join(segments[k:], "/")
			return true
		}
		params[name] = segments[k]
	}
	return len(segments) == len(rt.pattern)
}

// satisfies tells whether the token has one of the alternatives in accepts,
// which is in the form of X-Accepted-GitHub-Permissions. Classic tokens and
// anonymous callers are judged by the user's rights alone.
func (t *token) satisfies(accepts string) bool {
	if t == nil || t.grants == nil || accepts == "" {
		return true
	}
	for alternative := range strings.SplitSeq(accepts, ";") {
		name, level, _ := strings.Cut(strings.TrimSpace(alternative), "=")
		if t.allows(name, level) {
			return true
		}
	}
	return false
}

func (t *token) allows(name, level string) bool {
	if t == nil || t.grants == nil || name == "metadata" {
		return true
	}
	have := t.grants[name]
	return have == level || have == "write" && level == "read"
}
