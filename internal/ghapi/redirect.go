package ghapi

import (
	"net/http"
	"net/url"
	"strings"
)

// redirect decides where a redirected request goes next. Reads follow 301,
// 302, 307 and 308. Mutations follow 307 and 308, which promise that method
// and body stay (GitHub sends 307 for the old name of a repository); any other
// redirect of a mutation is an error, because following it would turn it into
// a read. Never to another host, which would get the token.
func (c *Client) redirect(r *Request, a *answer, followed int) (*url.URL, error) {
	fail := &Error{
		Class: ClassMoved, Status: a.status, Method: r.Method, Path: a.url.Path,
		RequestID: a.header.Get("X-GitHub-Request-Id"), StartedAt: a.started,
	}
	target, err := a.url.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		fail.Message, fail.Err = "GitHub says that this has moved, but not where to", err
		return nil, fail
	}
	fail.Location = target.String()
	keepsMethod := a.status == http.StatusTemporaryRedirect || a.status == http.StatusPermanentRedirect
	switch {
	case r.NoRedirect && !r.mutation():
		fail.Message = "this has moved to " + target.Path
	case !keepsMethod && r.Method != http.MethodGet && r.Method != http.MethodHead:
		fail.Message = "this has moved to " + target.Path + ", the change was not made"
	case a.status == http.StatusSeeOther, a.status == http.StatusMultipleChoices:
		fail.Message = "GitHub answered with a redirect that its API does not have"
	case followed >= maxRedirects:
		fail.Message = "too many redirects"
	default:
		if err := c.sameHost(target); err != nil {
			fail.Message, fail.Err = "the redirect was not followed", err
			return nil, fail
		}
		return target, nil
	}
	return nil, fail
}

// pathOnly drops the query and the host from a request path, for errors.
func pathOnly(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
		return "/"
	}
	return path
}
