package ghapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Priority decides who goes first when limits get short.
type Priority int

const (
	// Read is for background work: it stops at Config.ReadShare of a limit.
	Read Priority = iota
	// Write is for mutations and for the reads that a waiting client of the
	// proxy needs: it may use the whole limit and waits for no reads.
	Write
)

// Request is one call of GitHub's API.
type Request struct {
	Method string // empty: GET
	// Path is relative to the base URL, already escaped ("repos/o/r/issues",
	// a leading slash is ignored), or an absolute URL on the base URL's host,
	// as GitHub's Link headers and url fields have them.
	Path string
	// Query is added to the path; leave it nil for absolute URLs.
	Query url.Values
	// Body is encoded as JSON; a json.RawMessage is sent as it is.
	Body     any
	Priority Priority
	// IfNoneMatch is an ETag of an earlier answer.
	IfNoneMatch string
	// NoRedirect makes a redirected read an error of ClassMoved, for callers
	// to whom it matters that an object has moved (a transferred issue gets a
	// new id).
	NoRedirect bool

	// query marks a POST that changes nothing (a GraphQL query).
	query bool
}

// Response is a successful answer, or 304.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// Next is the raw URL of the next page, "" on the last one. It is an
	// opaque cursor: store it, and hand it back as Request.Path.
	Next string
	// URL is the address that answered, after redirects.
	URL         string
	ETag        string
	RequestID   string
	NotModified bool // 304: Body is empty, the caller's copy is current
	// StartedAt is when the request that brought this answer was sent. What
	// the answer says was true at that time or later.
	StartedAt time.Time
}

// Decode reads the body into v, which must be a pointer.
func (r *Response) Decode(v any) error {
	if err := json.Unmarshal(r.Body, v); err != nil {
		return fmt.Errorf("decoding GitHub's answer from %s: %w", r.URL, err)
	}
	return nil
}

// mutation tells whether the request may change something at GitHub.
func (r *Request) mutation() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !r.query
}

// resource is the limit that the request counts against, before GitHub's
// answer names it.
func (r *Request) resource() string {
	if strings.HasSuffix(r.Path, "graphql") {
		return "graphql"
	}
	if strings.HasPrefix(strings.TrimLeft(r.Path, "/"), "search/") {
		return "search"
	}
	return "core"
}

// free tells whether GitHub counts the request against no limit.
func (r *Request) free() bool { return strings.Trim(r.Path, "/") == "rate_limit" }

// resolve turns path into a URL under the base URL, or into the absolute URL
// itself when it is one of the same host.
func (c *Client) resolve(path string, query url.Values) (*url.URL, error) {
	var u *url.URL
	var err error
	if strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://") {
		u, err = url.Parse(path)
	} else {
		u, err = url.Parse(c.base.String() + strings.TrimLeft(path, "/"))
	}
	if err != nil {
		return nil, fmt.Errorf("not a usable path: %w", err)
	}
	if err := c.sameHost(u); err != nil {
		return nil, err
	}
	// A label named ".." would otherwise turn the deletion of a label into
	// the deletion of its repository.
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, fmt.Errorf("the path %q holds a %q segment", path, segment)
		}
	}
	if len(query) > 0 {
		q := u.Query()
		for name, values := range query {
			q[name] = values
		}
		u.RawQuery = q.Encode()
	}
	return u, nil
}

// sameHost refuses addresses to which the token must not be sent.
func (c *Client) sameHost(u *url.URL) error {
	if u.Scheme != c.base.Scheme || !strings.EqualFold(u.Host, c.base.Host) || u.User != nil {
		return fmt.Errorf("refusing to send the token to %s://%s, which is not the configured GitHub %s://%s",
			u.Scheme, u.Host, c.base.Scheme, c.base.Host)
	}
	return nil
}

// build makes the HTTP request. Header fields and the JSON encoding come from
// go-github; the credential is added here, for a host that resolve has checked.
func (c *Client) build(ctx context.Context, r *Request, u *url.URL) (*http.Request, error) {
	var body any
	switch b := r.Body.(type) {
	case nil:
	case []byte:
		body = json.RawMessage(b)
	default:
		body = b
	}
	req, err := c.builder.NewRequest(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if r.IfNoneMatch != "" {
		req.Header.Set("If-None-Match", r.IfNoneMatch)
	}
	return req, nil
}
