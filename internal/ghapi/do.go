package ghapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// maxLimited bounds how often one request waits for a limit and is sent again.
const maxLimited = 5

// maxRedirects bounds how many redirects one request follows.
const maxRedirects = 5

// Do sends one request and returns GitHub's answer: 2xx, or 304 to a request
// with IfNoneMatch. Every other end is an *Error.
//
// Do waits for pacing and, up to Config.MaxWait, for limits. Reads are tried
// again after server errors and failed connections. A mutation is sent again
// only after a limit refused it; it runs to its end even if ctx ends meanwhile,
// and the answer is returned.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	u, err := c.resolve(r.Path, r.Query)
	if err != nil {
		return nil, &Error{Class: ClassValidation, Method: r.Method, Path: pathOnly(r.Path), Message: "the request was not sent", Err: err}
	}
	if r.mutation() {
		return c.try(ctx, &r, u)
	}
	delay := c.cfg.RetryDelay
	for attempt := 0; ; attempt++ {
		resp, err := c.try(ctx, &r, u)
		if err == nil || !retriable(err) || attempt >= c.cfg.ReadRetries {
			return resp, err
		}
		c.log.Debug("GitHub read failed, trying again", "error", err, "attempt", attempt+1)
		if sleep(ctx, delay/2+rand.N(delay)) != nil {
			return nil, contextError(ctx, r.Method, u.Path, "waiting to try again after: "+err.Error())
		}
		delay *= 2
	}
}

// Get reads path with Priority Read.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*Response, error) {
	return c.Do(ctx, Request{Path: path, Query: query})
}

func retriable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Class {
	case ClassUnreachable:
		return true
	case ClassServer:
		return e.Status >= 500 && e.Status != http.StatusNotImplemented
	}
	return false
}

// try takes a request through limits, pacing and redirects to an answer.
func (c *Client) try(ctx context.Context, r *Request, u *url.URL) (*Response, error) {
	// The bound is for the sum of all waits for limits of this request.
	deadline := time.Now().Add(c.cfg.MaxWait)
	redirects := 0
	for limitedTimes := 0; ; {
		leave, err := c.admit(ctx, r, u, deadline)
		if err != nil {
			return nil, err
		}
		a, err := c.exchange(ctx, r, u)
		leave()
		if err != nil {
			c.log.Debug("GitHub request failed", "method", r.Method, "path", u.Path, "error", err)
			return nil, err
		}
		c.log.Debug("GitHub request", "method", r.Method, "path", u.Path, "status", a.status, "took", time.Since(a.started))
		now := time.Now()
		if !r.free() {
			c.limits.observe(a.header, r.resource(), now)
		}
		switch {
		case a.status >= 200 && a.status < 300, a.status == http.StatusNotModified:
			c.limits.succeeded()
			return response(a), nil
		case a.status >= 300 && a.status < 400:
			next, err := c.redirect(r, a, redirects)
			if err != nil {
				return nil, err
			}
			redirects++
			u = next
			continue
		}
		fail := classify(a.status, a.header, a.body, r.mutation())
		fail.Method, fail.Path, fail.StartedAt = r.Method, u.Path, a.started
		if fail.Class != ClassLimited {
			return nil, fail
		}
		fail.RetryAt = c.limits.hit(a.header, r.resource(), now)
		c.log.Warn("GitHub's rate limit was met", "path", u.Path, "message", fail.Message, "retry_at", fail.RetryAt)
		limitedTimes++
		if limitedTimes >= maxLimited || fail.RetryAt.After(deadline) {
			return nil, fail
		}
	}
}

// admit waits until limits and pacing let the request through. The limits are
// looked at again after the wait for a turn: another request may have met one.
func (c *Client) admit(ctx context.Context, r *Request, u *url.URL, deadline time.Time) (leave func(), err error) {
	for {
		if err := c.awaitLimit(ctx, r, u, deadline); err != nil {
			return nil, err
		}
		leave, err := c.pace.enter(ctx, r)
		if err != nil {
			return nil, contextError(ctx, r.Method, u.Path, "waiting for its turn")
		}
		if r.free() || c.limits.wait(r.resource(), r.priority(), time.Now()).IsZero() {
			return leave, nil
		}
		leave()
	}
}

func (c *Client) awaitLimit(ctx context.Context, r *Request, u *url.URL, deadline time.Time) error {
	if r.free() {
		return nil
	}
	now := time.Now()
	until := c.limits.wait(r.resource(), r.priority(), now)
	if until.IsZero() {
		return nil
	}
	if until.After(deadline) {
		return &Error{
			Class: ClassLimited, Method: r.Method, Path: u.Path, RetryAt: until,
			Message: "not sent, GitHub's rate limit is used up",
		}
	}
	if sleep(ctx, until.Sub(now)) != nil {
		return contextError(ctx, r.Method, u.Path, "waiting for GitHub's rate limit")
	}
	return nil
}

// priority is Write for every mutation, whatever the caller said.
func (r *Request) priority() Priority {
	if r.mutation() {
		return Write
	}
	return r.Priority
}

func response(a *answer) *Response {
	return &Response{
		Status:      a.status,
		Header:      a.header,
		Body:        a.body,
		Next:        nextLink(a.header, a.url),
		URL:         a.url.String(),
		ETag:        a.header.Get("ETag"),
		RequestID:   a.header.Get("X-GitHub-Request-Id"),
		NotModified: a.status == http.StatusNotModified,
		StartedAt:   a.started,
	}
}
