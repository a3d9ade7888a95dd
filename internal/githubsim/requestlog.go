package githubsim

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLoggedRequests bounds the request log; older entries are dropped.
const maxLoggedRequests = 50_000

// Request is an entry of the request log. Control requests are not logged.
type Request struct {
	Seq    int64  `json:"seq"` // from 1, in order of arrival
	Method string `json:"method"`
	Path   string `json:"path"` // escaped, without an Enterprise prefix
	Query  string `json:"query"`
	Body   []byte `json:"-"`
	// Header is the request's, without Authorization.
	Header http.Header `json:"-"`
	// Status is what was answered; 0 while under way or when the connection
	// was cut.
	Status int `json:"status"`
	// ID is the X-GitHub-Request-Id of the answer.
	ID    string    `json:"request_id"`
	Login string    `json:"login"` // "" = anonymous
	Time  time.Time `json:"time"`
}

type requestLog struct {
	mu      sync.Mutex
	last    int64
	entries []*Request
}

func newRequestLog() *requestLog { return &requestLog{} }

func (l *requestLog) begin(r Request) *Request {
	r.Header.Del("Authorization")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	r.Seq = l.last
	if len(l.entries) >= maxLoggedRequests {
		l.entries = slices.Delete(l.entries, 0, maxLoggedRequests/4)
	}
	l.entries = append(l.entries, &r)
	return &r
}

func (l *requestLog) finish(r *Request, status int, id string, u *user) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Status, r.ID = status, id
	if u != nil {
		r.Login = u.login
	}
}

// Requests returns the logged requests, oldest first.
func (s *Server) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := make([]Request, 0, len(s.log.entries))
	for _, r := range s.log.entries {
		out = append(out, *r)
	}
	return out
}

// ResetRequests empties the request log.
func (s *Server) ResetRequests() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.entries = nil
}

// CountRequests counts logged requests by method ("" = every one) and a glob
// over the path ("" = every one; see Fault.Path).
func (s *Server) CountRequests(method, path string) int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	n := 0
	for _, r := range s.log.entries {
		if (method == "" || strings.EqualFold(method, r.Method)) && (path == "" || globMatch(path, r.Path)) {
			n++
		}
	}
	return n
}
