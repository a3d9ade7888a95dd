package ghapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMutationOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		step  http.HandlerFunc
		class Class
		state int
	}{
		{"cut without an answer", cut, ClassUnknown, 0},
		{"answer cut in its body", cutBody, ClassUnknown, 200},
		{"no answer in time", hang, ClassUnknown, 0},
		{"500", status(500, `{"message":"Server Error"}`), ClassUnknown, 500},
		{"502 of the front", status(502, `<html>Unicorn!</html>`), ClassUnknown, 502},
		{"503 in GitHub's form", status(503, `{"message":"Service unavailable"}`), ClassUnknown, 503},
		{"504", status(504, ``), ClassUnknown, 504},
		{"408", status(408, ``), ClassUnknown, 408},
		{"422", status(422, `{"message":"Validation Failed","errors":[{"resource":"Issue","field":"title","code":"missing_field"}]}`), ClassValidation, 422},
		{"301", status(301, ``, "Location", "/repositories/1/issues/1"), ClassMoved, 301},
		{"302", status(302, ``, "Location", "/elsewhere"), ClassMoved, 302},
		{"303", status(303, ``, "Location", "/elsewhere"), ClassMoved, 303},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, test.step, status(201, `{}`))
			c := newClient(t, s.URL, func(cfg *Config) {
				if test.name == "no answer in time" {
					cfg.RequestTimeout = 300 * time.Millisecond
				}
			})
			_, err := c.Do(t.Context(), Request{Method: "PATCH", Path: "repos/o/r/issues/1", Body: map[string]string{"title": "x"}})
			if ClassOf(err) != test.class {
				t.Fatalf("class %v, want %v: %v", ClassOf(err), test.class, err)
			}
			e, _ := errors.AsType[*Error](err)
			if e.Status != test.state || e.StartedAt.IsZero() {
				t.Errorf("status %d at %v, want %d", e.Status, e.StartedAt, test.state)
			}
			if n := len(s.requests()); n != 1 || c.Requests() != 1 {
				t.Errorf("GitHub saw %d requests, the counter says %d; want 1", n, c.Requests())
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

func TestUnreachableIsCertain(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.TLS = &tls.Config{}
	untrusted.StartTLS()
	defer untrusted.Close()

	for name, base := range map[string]string{
		"refused":     "http://" + closed.Addr().String(),
		"certificate": untrusted.URL,
		"name":        "http://github.invalid/",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, base)
			for _, method := range []string{"GET", "POST", "DELETE"} {
				_, err := c.Do(t.Context(), Request{Method: method, Path: "x"})
				if ClassOf(err) != ClassUnreachable {
					t.Errorf("%s: class %v, want unreachable: %v", method, ClassOf(err), err)
				}
			}
		})
	}
}

// blindTransport fails like a connection that broke, without the hooks that
// tell how far the request got.
type blindTransport struct{}

func (blindTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection lost")
}

func TestUnknownWhenTransportTellsNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t, "http://127.0.0.1:1/", func(cfg *Config) { cfg.Transport = blindTransport{} })
	if _, err := c.Do(t.Context(), Request{Method: "POST", Path: "x"}); ClassOf(err) != ClassUnknown {
		t.Errorf("class %v, want unknown: %v", ClassOf(err), err)
	}
}

// TestNeverTwiceNeverWrong lets a server close its connections at every point
// of the exchange, dead idle connections included, and compares what the
// client says with what the server saw.
func TestNeverTwiceNeverWrong(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	saw := map[string]int{}
	turn := 0
	base := rawServer(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			mu.Lock()
			turn++
			mode := turn % 5
			mu.Unlock()
			if mode == 0 {
				return // closed before anything is read
			}
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			mu.Lock()
			saw[req.URL.Path]++
			mu.Unlock()
			if mode == 1 {
				return // applied, no answer
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			if mode == 2 {
				return // answered, then closed as if idle for too long
			}
		}
	})
	c := newClient(t, base)
	classes := map[Class]int{}
	for i := range 400 {
		path := fmt.Sprintf("/m/%d", i)
		method := []string{"POST", "PATCH", "PUT", "DELETE"}[i%4]
		var body any
		if i%3 > 0 {
			body = map[string]int{"i": i}
		}
		_, err := c.Do(t.Context(), Request{Method: method, Path: path, Body: body})
		mu.Lock()
		n := saw[path]
		mu.Unlock()
		class := ClassOf(err)
		classes[class]++
		switch {
		case n > 1:
			t.Fatalf("%s %s was sent %d times", method, path, n)
		case err == nil && n != 1:
			t.Fatalf("%s %s succeeded but the server saw nothing", method, path)
		case class == ClassUnreachable && n != 0:
			t.Fatalf("%s %s was called unreachable but the server saw it: %v", method, path, err)
		case err != nil && class != ClassUnreachable && class != ClassUnknown:
			t.Fatalf("%s %s: class %v: %v", method, path, class, err)
		}
	}
	if classes[ClassNone] == 0 || classes[ClassUnknown] == 0 {
		t.Errorf("the server's tricks did not show: %v", classes)
	}
}

// TestNeverTwiceOverHTTP2 does the same over HTTP/2, which GitHub speaks and
// where streams break one by one.
func TestNeverTwiceOverHTTP2(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	saw := map[string]int{}
	turn := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		saw[r.URL.Path]++
		turn++
		mode := turn % 4
		mu.Unlock()
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s", r.Proto)
		}
		switch mode {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			cutBody(w, r)
		case 2:
			w.Header().Set("Connection", "close") // becomes a GOAWAY
		}
		io.WriteString(w, "{}")
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, func(cfg *Config) { cfg.Transport = s.Client().Transport })
	classes := map[Class]int{}
	for i := range 100 {
		path := fmt.Sprintf("/m/%d", i)
		_, err := c.Do(t.Context(), Request{Method: []string{"POST", "DELETE"}[i%2], Path: path, Body: map[string]int{"i": i}})
		class := ClassOf(err)
		classes[class]++
		mu.Lock()
		n := saw[path]
		mu.Unlock()
		if n > 1 || err == nil && n != 1 || class == ClassUnreachable && n != 0 || err != nil && class != ClassUnknown && class != ClassUnreachable {
			t.Fatalf("%s: seen %d times, class %v: %v", path, n, class, err)
		}
	}
	if classes[ClassNone] != 50 || classes[ClassUnknown] != 50 {
		t.Errorf("the server's tricks did not show: %v", classes)
	}
}

func TestMutationOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := newScript(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		status(201, `{"number":7}`)(w, r)
	})
	c := newClient(t, s.URL)
	resp, err := c.Do(ctx, Request{Method: "POST", Path: "repos/o/r/issues", Body: map[string]string{"title": "x"}})
	if err != nil || string(resp.Body) != `{"number":7}` {
		t.Fatalf("the answer was lost with its caller: %v", err)
	}
	// The next one has not left yet, so it is given up.
	if _, err := c.Do(ctx, Request{Method: "POST", Path: "x"}); ClassOf(err) != ClassCanceled || !errors.Is(err, context.Canceled) {
		t.Errorf("class %v, want canceled: %v", ClassOf(err), err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("GitHub saw %d requests, want 1", n)
	}
}

func TestReadRetries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		steps    []http.HandlerFunc
		class    Class
		requests int
	}{
		{"server errors pass", []http.HandlerFunc{status(502, ""), status(503, ""), status(504, ""), status(200, "{}")}, ClassNone, 4},
		{"a cut connection passes", []http.HandlerFunc{cut, cutBody, status(200, "{}")}, ClassNone, 3},
		{"no end of server errors", []http.HandlerFunc{status(502, ""), status(502, ""), status(502, ""), status(502, ""), status(200, "{}")}, ClassServer, 4},
		{"no end of cuts", []http.HandlerFunc{cut, cut, cut, cut, cut, cut, cut, cut}, ClassUnreachable, -1},
		{"refusals are final", []http.HandlerFunc{status(404, `{"message":"Not Found"}`), status(200, "{}")}, ClassNotFound, 1},
		{"gone is final", []http.HandlerFunc{status(410, `{"message":"This issue was deleted"}`), status(200, "{}")}, ClassGone, 1},
		{"401 is final", []http.HandlerFunc{status(401, `{"message":"Bad credentials"}`), status(200, "{}")}, ClassUnauthorized, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, test.steps...)
			c := newClient(t, s.URL)
			_, err := c.Get(t.Context(), "repos/o/r", nil)
			if ClassOf(err) != test.class || (err == nil) != (test.class == ClassNone) {
				t.Fatalf("class %v, want %v: %v", ClassOf(err), test.class, err)
			}
			if n := len(s.requests()); test.requests >= 0 && n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	big := `"` + strings.Repeat("x", 5000) + `"`
	s := newScript(t, status(200, big), status(201, big), status(200, `"fits"`))
	c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxBody = 1000 })
	if _, err := c.Get(t.Context(), "x", nil); ClassOf(err) != ClassServer {
		t.Errorf("read: class %v, want server: %v", ClassOf(err), err)
	}
	if _, err := c.Do(t.Context(), Request{Method: "POST", Path: "x"}); ClassOf(err) != ClassUnknown {
		t.Errorf("mutation: class %v, want unknown: %v", ClassOf(err), err)
	}
	if resp, err := c.Get(t.Context(), "x", nil); err != nil || string(resp.Body) != `"fits"` {
		t.Errorf("got %v", err)
	}
}
