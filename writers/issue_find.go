package writers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// maxFindPages bounds the search for a created issue: an author who has made
// hundreds of issues in the seconds since is answered with 08007.
const maxFindPages = 5

// fetch holds the present state of the issue, or its absence if that is
// certain.
func (t issueTable) fetch(ctx context.Context, r *run, at place) error {
	name := issueName(at.fullName, at.number)
	resp, err := r.do(ctx, ghapi.Request{Path: issuePath(at.fullName, at.number), NoRedirect: true})
	if e, ok := asError(err); ok && e.Class == ghapi.ClassMoved && t.renamed(e, at) {
		resp, err = r.do(ctx, ghapi.Request{Path: e.Location, NoRedirect: true})
	}
	e, _ := asError(err)
	switch {
	case err == nil:
	case e == nil:
		return err
	case e.Class == ghapi.ClassMoved && e.Location != "":
		// Transferred: elsewhere it is another row, with another id.
		r.gone()
		return nil
	case e.Class == ghapi.ClassGone && !strings.Contains(strings.ToLower(e.Message), "disabled"):
		r.gone()
		return nil
	case e.Class == ghapi.ClassNotFound:
		return t.confirmAbsence(ctx, r, at, refuse("reading "+name, err))
	default:
		return refuse("reading "+name, err)
	}
	var object struct {
		ID int64 `json:"id"`
	}
	if err := resp.Decode(&object); err != nil {
		return refuse("reading "+name, err)
	}
	if at.id != 0 && object.ID != at.id {
		// Numbers are not given out twice, so the name belongs to another
		// repository by now, and this issue is not to be judged by it.
		return &Refusal{
			SQLSTATE: codeUndefined,
			Message:  fmt.Sprintf("%s has the id %d at GitHub, not %d", name, object.ID, at.id),
			Hint:     "The repository was renamed or replaced; the mirror follows at its next sync.",
		}
	}
	return r.hold(schema.Issue, resp.Body, at.repositoryID, resp.StartedAt)
}

// renamed tells a redirect that is due to the repository's new name from one
// that is due to a transfer of the issue: the former keeps the number.
func (t issueTable) renamed(e *ghapi.Error, at place) bool {
	return strings.HasSuffix(e.Location, fmt.Sprintf("/repositories/%d/issues/%d", at.repositoryID, at.number))
}

// confirmAbsence decides what 404 means: the issue is gone only if the
// repository is still visible under the same id.
func (t issueTable) confirmAbsence(ctx context.Context, r *run, at place, notFound *Refusal) error {
	resp, err := r.do(ctx, ghapi.Request{Path: "repos/" + at.fullName})
	if err != nil {
		return notFound.because("The repository cannot be read either: " + refuse("", err).Detail)
	}
	var repository struct {
		ID        int64 `json:"id"`
		HasIssues bool  `json:"has_issues"`
	}
	if err := resp.Decode(&repository); err != nil {
		return err
	}
	if repository.ID != at.repositoryID || !repository.HasIssues {
		return notFound
	}
	r.gone()
	return nil
}

func (t issueTable) findCreated(ctx context.Context, r *run, p *Planned, since time.Time) (bool, error) {
	want := p.want.(*issueWant)
	login, err := t.w.ownLogin(ctx, r)
	if err != nil {
		return false, err
	}
	query := url.Values{
		"state": {"all"}, "sort": {"created"}, "direction": {"desc"}, "per_page": {"100"},
	}
	if login != "" {
		query.Set("creator", login)
	}
	var fitting []found
	req := ghapi.Request{Path: issuesPath(p.FullName), Query: query}
	for range maxFindPages {
		resp, err := r.do(ctx, req)
		if err != nil {
			return false, refuse("looking for an issue in "+p.FullName, err)
		}
		more, matches, err := t.match(p, want, resp, earliest(since, resp.Header, time.Now()))
		if err != nil {
			return false, err
		}
		fitting = append(fitting, matches...)
		if !more || resp.Next == "" {
			break
		}
		req.Path, req.Query = resp.Next, nil
	}
	switch {
	case len(fitting) == 0:
		return false, nil
	case len(fitting) > 1:
		var numbers []string
		for _, f := range fitting {
			numbers = append(numbers, fmt.Sprintf("#%d", f.number))
		}
		return false, &Refusal{
			SQLSTATE: codeUnknown,
			Message:  "it is not known which issue GitHub created in " + p.FullName,
			Detail:   "These fit author, title, body and time: " + strings.Join(numbers, ", ") + ".",
			Hint:     "Look at GitHub before you run the statement again; the mirror follows by itself.",
		}
	}
	return true, r.hold(schema.Issue, fitting[0].raw, p.RepositoryID, fitting[0].started)
}

// found is an issue that may be the one created.
type found struct {
	id, number int64
	raw        json.RawMessage
	started    time.Time
}

// match picks the fitting issues of one page, newest first. more is false once
// the page reaches back before the earliest time.
func (t issueTable) match(p *Planned, want *issueWant, resp *ghapi.Response, earliest time.Time) (more bool, fitting []found, err error) {
	var page []json.RawMessage
	if err := resp.Decode(&page); err != nil {
		return false, nil, err
	}
	body := ""
	if want.body != nil {
		body = *want.body
	}
	for _, raw := range page {
		var issue struct {
			ID          int64           `json:"id"`
			Number      int64           `json:"number"`
			Title       string          `json:"title"`
			Body        string          `json:"body"`
			CreatedAt   time.Time       `json:"created_at"`
			PullRequest json.RawMessage `json:"pull_request"`
		}
		if err := json.Unmarshal(raw, &issue); err != nil {
			return false, nil, fmt.Errorf("reading the issues of %s: %w", p.FullName, err)
		}
		if issue.CreatedAt.Before(earliest) {
			return false, fitting, nil
		}
		if issue.PullRequest != nil || !sameText(issue.Title, want.title) || !sameText(issue.Body, body) ||
			slices.Contains(p.NotIDs, issue.ID) || t.w.claimed(issue.ID) {
			continue
		}
		fitting = append(fitting, found{issue.ID, issue.Number, raw, resp.StartedAt})
	}
	return true, fitting, nil
}

// earliest is since on GitHub's clock, less the second that its timestamps
// leave out and the one that its Date header does.
func earliest(since time.Time, h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		if skew := date.Sub(now); skew.Abs() > 2*time.Second {
			since = since.Add(skew)
		}
	}
	return since.Add(-time.Second).Truncate(time.Second)
}
