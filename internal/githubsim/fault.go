package githubsim

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Where a fault cuts the connection.
const (
	// CutBefore closes the connection without applying the request.
	CutBefore = "before"
	// CutAfter applies the request and closes the connection without an answer.
	CutAfter = "after"
	// CutDuring applies the request and closes the connection in the middle of
	// the answer's body.
	CutDuring = "during"
)

// Fault is one line of the fault script: what happens to the next requests that
// match.
type Fault struct {
	ID int64 `json:"id"`
	// Method is an HTTP method; empty matches every one.
	Method string `json:"method"`
	// Path is a glob over the request's path as it was sent, escapes included:
	// * stands for anything but a slash, ** for anything. Pages after the first
	// have paths of the form /repositories/{id}/issues. Empty matches every path.
	Path string `json:"path"`
	// Query, if set, must occur in the raw query.
	Query string `json:"query"`
	// Skip lets that many matching requests through first.
	Skip int `json:"skip"`
	// Count is how many requests are hit; 0 means all.
	Count int `json:"count"`
	// Status, if not 0, is answered instead of the real answer, with Header and
	// Body. The request is not applied unless Apply is set.
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
	Apply  bool              `json:"apply"`
	// Delay passes before the request is applied; with Apply or CutAfter, after
	// it. A client that leaves during the delay before it leaves nothing behind.
	Delay time.Duration `json:"delay"`
	// Cut is "", CutBefore, CutAfter or CutDuring. Mind that Go's HTTP client
	// sends a GET again by itself when a connection it had used before is cut.
	Cut string `json:"cut"`
	// Hits counts the requests that were hit.
	Hits int `json:"hits"`
}

type faultScript struct {
	mu    sync.Mutex
	last  int64
	lines []*Fault
}

// take finds the first line that hits a request and uses it up by one.
func (fs *faultScript) take(method, path, query string) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.lines {
		if f.Count > 0 && f.Hits >= f.Count || f.Method != "" && !strings.EqualFold(f.Method, method) {
			continue
		}
		if f.Path != "" && !globMatch(f.Path, path) || !strings.Contains(query, f.Query) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Hits++
		return *f, true
	}
	return Fault{}, false
}

// AddFault appends a line to the fault script and returns its id.
func (s *Server) AddFault(f Fault) int64 {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.last++
	f.ID, f.Hits = s.faults.last, 0
	s.faults.lines = append(s.faults.lines, &f)
	return f.ID
}

// RemoveFault takes a line out of the script; id 0 means all of them.
func (s *Server) RemoveFault(id int64) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	kept := s.faults.lines[:0]
	for _, f := range s.faults.lines {
		if id != 0 && f.ID != id {
			kept = append(kept, f)
		}
	}
	s.faults.lines = kept
}

// Faults returns the script with the hits so far.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	lines := make([]Fault, 0, len(s.faults.lines))
	for _, f := range s.faults.lines {
		lines = append(lines, *f)
	}
	return lines
}

// withFault answers a request, bent by the fault if there is one.
func (s *Server) withFault(c *call, path string, f Fault, faulty bool) answer {
	if !faulty {
		return s.handle(c, path)
	}
	apply := f.Apply || f.Cut == CutAfter || f.Cut == CutDuring || f.Status == 0 && f.Cut == ""
	late := f.Apply || f.Cut == CutAfter || f.Cut == CutDuring
	if !late && !s.wait(c, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	a := answer{status: http.StatusOK, header: http.Header{}}
	if apply {
		a = s.handle(c, path)
	}
	if late && !s.wait(c, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		a.status, a.body = f.Status, []byte(f.Body)
		a.header.Set("X-Github-Request-Id", s.requestID())
		a.header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range f.Header {
		if v == "" {
			a.header.Del(k)
		} else {
			a.header.Set(k, v)
		}
	}
	return a
}

// wait sleeps for d and reports whether the client is still there.
func (s *Server) wait(c *call, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.req.Context().Done():
		return false
	case <-s.closed:
		return false
	}
}

// globMatch matches * within one path segment and ** over any number.
func globMatch(pattern, s string) bool {
	for pattern != "" {
		if rest, ok := strings.CutPrefix(pattern, "**"); ok {
			for k := 0; k <= len(s); k++ {
				if globMatch(rest, s[k:]) {
					return true
				}
			}
			return false
		}
		if rest, ok := strings.CutPrefix(pattern, "*"); ok {
			for k := 0; ; k++ {
				if globMatch(rest, s[k:]) {
					return true
				}
				if k == len(s) || s[k] == '/' {
					return false
				}
			}
		}
		if s == "" || s[0] != pattern[0] {
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}
