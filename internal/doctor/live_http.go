package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// refused provokes a refusal: pghub turns its fields into Postgres errors that
// name the column.
//
// https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed
func (l *live) refused(ctx context.Context) {
	const what, fix = "validation", "report it to pghub with this output"
	resp, err := l.send(ctx, http.MethodPost, l.path("issues"), map[string]any{"title": strings.Repeat("x", 300)})
	e, ok := errors.AsType[*ghapi.Error](err)
	switch {
	case err == nil:
		if row, err := schema.Issue.Decode(json.RawMessage(resp.Body), schema.Scope{RepositoryID: l.repo.ID}); err == nil {
			l.issues = append(l.issues, &row)
		}
		l.r.fail(what, fix, "a title of 300 characters was accepted")
	case !ok || e.Status != http.StatusUnprocessableEntity || e.Class != ghapi.ClassValidation:
		l.r.fail(what, permissionFix(err), "a title of 300 characters was answered by %v", err)
	case e.Message == "" || len(e.Fields) == 0:
		l.r.fail(what, fix, "the answer 422 does not say which field is wrong: %v", err)
	case e.Fields[0].Field != "title" || e.Fields[0].Code == "":
		l.r.warn(what, fix, "the answer 422 has another form than documented: %+v", e.Fields)
	default:
		l.r.ok(what, "a title of 300 characters is answered 422 %q, which names the field: %s", e.Message, e.Fields[0])
	}
}

// paging follows the Link header over pages of one issue.
//
// https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
func (l *live) paging(ctx context.Context) {
	const what, most = "paging", 3
	q := url.Values{"state": {"all"}, "sort": {"created"}, "direction": {"asc"}, "per_page": {"1"}}
	var numbers []int64
	var link string
	_, err := l.eventually(ctx, func() (bool, error) {
		numbers, link = nil, ""
		for next := l.path("issues") + "?" + q.Encode(); next != "" && len(numbers) < most; {
			resp, err := l.api.Do(ctx, ghapi.Request{Path: next, Priority: ghapi.Write})
			if err != nil {
				return false, err
			}
			var page []struct{ Number int64 }
			if err := resp.Decode(&page); err != nil {
				return false, err
			}
			if len(page) > 1 {
				return true, fmt.Errorf("a page of 1 holds %d issues", len(page))
			}
			for _, i := range page {
				numbers = append(numbers, i.Number)
			}
			if next = resp.Next; link == "" {
				link = next
			}
		}
		return len(numbers) > 1, nil
	})
	for i := 1; err == nil && i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			err = fmt.Errorf("the issues came in the order %v", numbers)
		}
	}
	switch {
	case err != nil:
		l.r.fail(what, permissionFix(err), "%v", err)
	case len(numbers) < 2 || link == "":
		l.r.fail(what, "see whether a proxy between here and GitHub takes the Link header away", "the list of issues ends after one page of one")
	default:
		kind := "by page number"
		if strings.Contains(link, "after=") {
			kind = "by cursor"
		}
		l.r.ok(what, "the Link header leads on, %s", kind)
	}
}

// conditional reads an issue again by its ETag, and looks at the headers that
// pacing needs.
//
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
func (l *live) conditional(ctx context.Context, issue *schema.Row) {
	const what, proxy = "etag", "see whether a proxy between here and GitHub changes headers"
	path := l.path("issues/%v", issue.Get("number"))
	var first, again *ghapi.Response
	_, err := l.eventually(ctx, func() (done bool, err error) {
		if first, err = l.api.Do(ctx, ghapi.Request{Path: path, Priority: ghapi.Write}); err != nil || first.ETag == "" {
			return true, err
		}
		if again, err = l.api.Do(ctx, ghapi.Request{Path: path, Priority: ghapi.Write, IfNoneMatch: first.ETag}); err != nil {
			return true, err
		}
		return again.NotModified, nil
	})
	switch {
	case err != nil:
		l.r.fail(what, permissionFix(err), "%v", err)
		return
	case first.ETag == "":
		l.r.warn(what, proxy, "answers have no ETag: every poll costs a request of the limit")
	case !again.NotModified:
		l.r.warn(what, proxy, "an unchanged issue is not answered 304: every poll costs a request of the limit")
	default:
		l.r.ok(what, "an unchanged issue is answered 304")
		if a, b := first.Header.Get("X-Ratelimit-Used"), again.Header.Get("X-Ratelimit-Used"); a != b && a != "" && b != "" {
			l.r.warn(what, "none if something else uses this token just now", "the 304 was counted: %s requests before, %s after", a, b)
		}
	}
	var missing []string
	for _, name := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "X-Ratelimit-Resource", "X-Github-Request-Id"} {
		if first.Header.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		l.r.warn("headers", "none on GitHub Enterprise Server without limits; else "+proxy, "GitHub's answer lacks %s", strings.Join(missing, ", "))
		return
	}
	version := first.Header.Get("X-Github-Api-Version-Selected")
	if version == "" {
		version = "unsaid"
	}
	l.r.ok("headers", "limit and request id are there; API version %s", version)
}
