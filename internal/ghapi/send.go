package ghapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"
)

// progress records how far a request got on its connection. net/http may take
// several connections for one request: it does so with a mutation only when it
// can prove that nothing was written on the one before (transport.go,
// shouldRetryRequest), and asks for each anew by GetConn.
type progress struct {
	mu           sync.Mutex
	asked        bool // a connection was asked for: the hooks work
	connected    bool // the latest one asked for was obtained
	wroteHeaders bool
}

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			p.mu.Lock()
			p.asked, p.connected, p.wroteHeaders = true, false, false
			p.mu.Unlock()
		},
		GotConn: func(httptrace.GotConnInfo) {
			p.mu.Lock()
			p.connected = true
			p.mu.Unlock()
		},
		WroteHeaders: func() {
			p.mu.Lock()
			p.wroteHeaders = true
			p.mu.Unlock()
		},
	}
}

// nothingSent tells whether GitHub certainly saw nothing of a request that
// ended with an error. It errs on the side of no.
//
// Without a connection (name not found, refused, TLS failed) nothing was sent.
// With one, the absence of WroteHeaders proves the same only if the writer has
// stopped: net/http waits for its writer before it returns, except when the
// context ended, where the request may still be leaving.
func (p *progress) nothingSent(ended bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked {
		return false
	}
	return !p.connected || !p.wroteHeaders && !ended
}

// answer is what came back from one exchange.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	url     *url.URL
	started time.Time
}

// exchange sends the request once and reads the answer. An error is an *Error
// of ClassUnreachable, ClassUnknown or ClassCanceled.
func (c *Client) exchange(ctx context.Context, r *Request, u *url.URL) (*answer, error) {
	mutation := r.mutation()
	if err := context.Cause(ctx); err != nil {
		return nil, contextError(ctx, r.Method, u.Path, "waiting to be sent")
	}
	sendCtx := ctx
	if mutation {
		// Once it is on its way, the outcome of a mutation is awaited even if
		// the caller goes away: nobody could tell otherwise what GitHub holds.
		sendCtx = context.WithoutCancel(ctx)
	}
	sendCtx, cancel := context.WithTimeout(sendCtx, c.cfg.RequestTimeout)
	defer cancel()
	var p progress
	req, err := c.build(httptrace.WithClientTrace(sendCtx, p.trace()), r, u)
	if err != nil {
		return nil, &Error{Class: ClassValidation, Method: r.Method, Path: u.Path, Message: "the request could not be built", Err: err}
	}

	c.requests.Add(1)
	started := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		fail := &Error{Method: r.Method, Path: u.Path, StartedAt: started, Err: bareError(err)}
		switch {
		case ctx.Err() != nil && !mutation:
			fail.Class, fail.Message, fail.Err = ClassCanceled, "canceled while waiting for the answer", context.Cause(ctx)
		case !mutation, p.nothingSent(sendCtx.Err() != nil):
			fail.Class, fail.Message = ClassUnreachable, fmt.Sprintf("no answer from %s", u.Host)
		default:
			fail.Class, fail.Message = ClassUnknown, "the request was sent but no answer came"
		}
		return nil, fail
	}
	defer resp.Body.Close()
	body, err := readBounded(resp.Body, c.cfg.MaxBody)
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body, url: u, started: started}
	if err == nil {
		return a, nil
	}
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		// The refusal itself has arrived; only its explanation is incomplete.
		return a, nil
	}
	fail := &Error{
		Class: ClassUnreachable, Status: resp.StatusCode, Method: r.Method, Path: u.Path, StartedAt: started,
		Message: "the answer was cut off", RequestID: resp.Header.Get("X-GitHub-Request-Id"), Err: err,
	}
	switch {
	case errors.Is(err, errTooLarge):
		fail.Class, fail.Message = ClassServer, "the answer is too large"
	case ctx.Err() != nil && !mutation:
		fail.Class, fail.Message, fail.Err = ClassCanceled, "canceled while reading the answer", context.Cause(ctx)
	}
	if mutation {
		fail.Class = ClassUnknown
	}
	return nil, fail
}

var errTooLarge = errors.New("answer exceeds the bound")

// readBounded reads to the end, or fails once limit bytes are exceeded.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return body, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w of %d bytes", errTooLarge, limit)
	}
	return body, nil
}

// bareError strips the URL, and with it the query, from net/http's error.
func bareError(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
