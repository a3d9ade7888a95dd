package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
)

const (
	// skewWarn and skewFail bound the difference between GitHub's clock and ours.
	// The Date header has whole seconds; GitHub refuses an App's key from 60 s on.
	skewWarn, skewFail = 5 * time.Second, 60 * time.Second
	// expiryWarn is how long before its end a token is complained about.
	expiryWarn = 7 * 24 * time.Hour
	// mostVisible bounds the look at repositories that are not named.
	mostVisible = 1000
	// mostLines bounds the lines about repositories of one kind.
	mostLines = 10
)

// GitHub checks the credential of api: known, not about to expire, within its
// limits, clocks in step. It returns false when nothing else can be tried.
func GitHub(ctx context.Context, api *ghapi.Client, r *Report) bool {
	const what = "token"
	resp, err := api.Do(ctx, ghapi.Request{Path: "rate_limit"})
	header := http.Header{}
	switch class := ghapi.ClassOf(err); {
	case err == nil:
		header = resp.Header
		clock(header, resp.StartedAt.Add(time.Since(resp.StartedAt)/2), r)
		limits(resp, r)
	case class == ghapi.ClassNotFound:
		r.ok("limits", "%s has none", api.BaseURL())
	case class == ghapi.ClassUnauthorized:
		r.fail(what, "make a new token and set github-token (environment GITHUB_TOKEN)", "GitHub at %s does not accept it", api.BaseURL())
		return false
	case class == ghapi.ClassLimited:
		r.fail("limits", "wait, or use less of the account's budget elsewhere", "%v", err)
		return false
	default:
		r.fail("github", "correct github-url, or see to the network or proxy settings between here and there", "%s does not answer as GitHub: %v", api.BaseURL(), err)
		return false
	}
	whose(ctx, api, header, r)
	return true
}

// clock compares GitHub's time with ours halfway through the request.
func clock(h http.Header, here time.Time, r *Report) {
	const what = "clock"
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		r.warn(what, "see whether a proxy between here and GitHub takes the Date header away", "GitHub's answer has no time")
		return
	}
	skew := here.Sub(there.Add(500 * time.Millisecond)).Round(time.Second)
	const fix = "let the machine's clock be set by NTP"
	switch {
	case skew.Abs() > skewFail:
		r.fail(what, fix, "this machine is %s apart from GitHub", skew)
	case skew.Abs() > skewWarn:
		r.warn(what, fix, "this machine is %s apart from GitHub", skew)
	default:
		r.ok(what, "in step with GitHub's")
	}
}

// limits reads what is left of the hour.
//
// https://docs.github.com/en/rest/rate-limit/rate-limit
func limits(resp *ghapi.Response, r *Report) {
	const what = "limits"
	var o struct {
		Resources map[string]struct {
			Limit, Remaining int
			Reset            int64
		}
	}
	if err := resp.Decode(&o); err != nil {
		r.warn(what, "see whether github-url is GitHub's API", "%v", err)
		return
	}
	for _, name := range []string{"core", "graphql"} {
		l, there := o.Resources[name]
		reset := time.Unix(l.Reset, 0).UTC().Format("15:04 UTC")
		switch {
		case !there:
			r.warn(what, "none needed if this is GitHub Enterprise Server", "nothing is said about %s", name)
		case l.Remaining == 0:
			r.fail(what, "wait, or use less of the account's budget elsewhere", "nothing is left of %s until %s", name, reset)
		case l.Remaining*10 < l.Limit:
			r.warn(what, "syncing will wait until then; find out what else uses this account", "%d of %d are left of %s until %s", l.Remaining, l.Limit, name, reset)
		default:
			r.ok(what, "%d of %d left of %s until %s", l.Remaining, l.Limit, name, reset)
		}
	}
}

// whose tells whom the token belongs to, what it may do, and for how long.
func whose(ctx context.Context, api *ghapi.Client, h http.Header, r *Report) {
	const what = "token"
	resp, err := api.Do(ctx, ghapi.Request{Path: "user"})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassPermission, ghapi.ClassNotFound:
		r.ok(what, "it belongs to an installation of a GitHub App")
		return
	}
	var user struct{ Login string }
	if err == nil {
		err = resp.Decode(&user)
	}
	if err != nil {
		r.fail(what, "make a new token and set github-token", "asking whose it is: %v", err)
		return
	}
	if scopes, classic := h["X-Oauth-Scopes"]; classic {
		if list := strings.Join(scopes, ","); !hasScope(list, "repo") {
			r.warn(what, "give the token scope repo, or public_repo where only public repositories are mirrored", "the classic token of %s has the scopes %q", user.Login, list)
			return
		}
	}
	// https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api
	if end, err := time.Parse("2006-01-02 15:04:05 MST", h.Get("Github-Authentication-Token-Expiration")); err == nil && time.Until(end) < expiryWarn {
		r.warn(what, "make a new token in time", "it belongs to %s and ends at %s", user.Login, end.UTC().Format(time.RFC3339))
		return
	}
	r.ok(what, "it belongs to %s", user.Login)
}

func hasScope(list, want string) bool {
	for scope := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(scope) == want {
			return true
		}
	}
	return false
}

// repository is what the checks read of one.
type repository struct {
	ID          int64           `json:"id"`
	FullName    string          `json:"full_name"`
	HTMLURL     string          `json:"html_url"`
	Archived    bool            `json:"archived"`
	HasIssues   *bool           `json:"has_issues"`
	Permissions map[string]bool `json:"permissions"`
}

// Repositories checks that each named repository can be read and written, or,
// when none is named, those that the credential sees.
func Repositories(ctx context.Context, api *ghapi.Client, names []string, r *Report) {
	if len(names) == 0 {
		visible(ctx, api, r)
		return
	}
	for _, name := range names {
		if repo, ok := look(ctx, api, name, r); ok {
			judge(repo, r)
		}
	}
}

// look reads a repository and its issues. It returns false when it had to fail.
func look(ctx context.Context, api *ghapi.Client, name string, r *Report) (repo repository, ok bool) {
	owner, short, _ := strings.Cut(name, "/")
	resp, err := api.Do(ctx, ghapi.Request{Path: "repos/" + url.PathEscape(owner) + "/" + url.PathEscape(short)})
	if err == nil {
		err = resp.Decode(&repo)
	}
	if ghapi.ClassOf(err) == ghapi.ClassNotFound {
		r.fail(name, "correct the name, or give the token access to it: GitHub hides private repositories in this way", "GitHub does not show it")
		return repo, false
	}
	if err != nil {
		r.fail(name, permissionFix(err), "reading it: %v", err)
		return repo, false
	}
	if !strings.EqualFold(repo.FullName, name) {
		r.warn(name, "name it "+repo.FullName+" in the settings: somebody else may take the old name", "it is %s now", repo.FullName)
	}
	_, err = api.Do(ctx, ghapi.Request{Path: fmt.Sprintf("repositories/%d/issues", repo.ID), Query: url.Values{"per_page": {"1"}}})
	if err != nil && ghapi.ClassOf(err) != ghapi.ClassGone {
		r.fail(name, permissionFix(err), "reading its issues: %v", err)
		return repo, false
	}
	return repo, true
}

// judge tells whether writes to a repository that can be read will be accepted.
func judge(repo repository, r *Report) {
	push, known := repo.Permissions["push"]
	switch {
	case repo.Archived:
		r.warn(repo.FullName, "unarchive it if it is to be written to", "it can be read; it is archived, so GitHub refuses every write")
	case repo.HasIssues != nil && !*repo.HasIssues:
		r.warn(repo.FullName, "switch them on in its settings if they are wanted", "it can be read; its issues are switched off")
	case known && !push:
		r.warn(repo.FullName, "give the token's account the role Write (or Triage) in it", "it can be read; without push permission GitHub silently drops labels, assignees and milestones, which pghub reports as 42501")
	case !known:
		r.ok(repo.FullName, "it can be read; GitHub does not say whether it can be written to, which --live-test finds out in a scratch repository")
	default:
		r.ok(repo.FullName, "it can be read, and the account may write to it")
	}
}

// visible looks at all repositories that the credential sees.
func visible(ctx context.Context, api *ghapi.Client, r *Report) {
	const what = "repositories"
	seen, lines := 0, 0
	errEnough := errors.New("enough")
	err := api.Pages(ctx, ghapi.Request{Path: "user/repos", Query: url.Values{"per_page": {"100"}}}, func(resp *ghapi.Response) error {
		var list []repository
		if err := resp.Decode(&list); err != nil {
			return err
		}
		for _, repo := range list {
			seen++
			if push, known := repo.Permissions["push"]; (repo.Archived || known && !push) && lines < mostLines {
				lines++
				judge(repo, r)
			}
		}
		if seen >= mostVisible {
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		r.fail(what, permissionFix(err), "listing them: %v", err)
	case seen == 0:
		r.fail(what, "give the token access to repositories, or name them with repo", "the token sees none")
	default:
		count := strconv.Itoa(seen)
		if errors.Is(err, errEnough) {
			count += " and more"
		}
		r.ok(what, "%s can be read; none is named, so all are mirrored", count)
	}
}

// permissionFix tells what GitHub wants for what it refused.
func permissionFix(err error) string {
	e, ok := errors.AsType[*ghapi.Error](err)
	switch {
	case ok && e.AcceptedPermissions != "":
		return "give the token the permission " + e.AcceptedPermissions
	case ok && e.Class == ghapi.ClassPermission:
		return "give the token access to it"
	case ok && e.Class == ghapi.ClassLimited:
		return "wait until then"
	}
	return "try again; if it stays, see https://www.githubstatus.com"
}
