package githubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// controlPrefix is where a client scripts the simulator itself. These paths need
// no token, count against no limit and are not logged.
const controlPrefix = "/_sim/"

// faultJSON is a Fault with its delay in milliseconds, for HTTP.
type faultJSON struct {
	Fault
	Delay   int64 `json:"delay,omitempty"` // shadows the nanoseconds
	DelayMS int64 `json:"delay_ms"`
}

// control answers the control paths:
//
//	GET, POST, DELETE /_sim/faults, DELETE /_sim/faults/{id}
//	GET, DELETE /_sim/requests     (?method=&path= to choose)
//	POST /_sim/users               {"login", "permissions": {"owner/name": "push"}, "grants": {"issues": "read"}}
//	POST /_sim/webhook             {"url", "secret"}
//	GET /_sim/deliveries, POST /_sim/deliveries/{id}
//	POST /_sim/limits              {"login", "resource", "remaining"} or {"secondary": {...}}
//	POST /_sim/rename              {"repository", "to"}
//	POST /_sim/transfer            {"repository", "number", "to"}
//	POST /_sim/settings            {"repository", "private", "has_issues", "archived"}
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	what, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, controlPrefix), "/")
	out, err := s.controlled(r, what, id, body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errNoControl) {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		out = map[string]string{"message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // the client may be gone
}

var errNoControl = errors.New("no such control path")

func (s *Server) controlled(r *http.Request, what, id string, body []byte) (any, error) {
	done := map[string]bool{"ok": true}
	switch r.Method + " " + what {
	case "GET faults":
		lines := []faultJSON{}
		for _, f := range s.Faults() {
			lines = append(lines, faultJSON{Fault: f, DelayMS: f.Delay.Milliseconds()})
		}
		return lines, nil
	case "POST faults":
		return s.controlAddFault(body)
	case "DELETE faults":
		n, err := strconv.ParseInt(id, 10, 64)
		if id != "" && err != nil {
			return nil, fmt.Errorf("fault %q: %w", id, err)
		}
		s.RemoveFault(n)
		return done, nil
	case "GET requests":
		return s.controlRequests(r.URL.Query().Get("method"), r.URL.Query().Get("path")), nil
	case "DELETE requests":
		s.ResetRequests()
		return done, nil
	case "GET deliveries":
		return s.Deliveries(), nil
	case "POST deliveries":
		if !s.Redeliver(id) {
			return nil, fmt.Errorf("no delivery %q", id)
		}
		return done, nil
	}
	if r.Method == http.MethodPost {
		return s.controlAct(what, body)
	}
	return nil, errNoControl
}

func (s *Server) controlAddFault(body []byte) (any, error) {
	var in faultJSON
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("reading a fault: %w", err)
	}
	switch in.Cut {
	case "", CutBefore, CutAfter, CutDuring:
	default:
		return nil, fmt.Errorf("cut is %q, not one of %s, %s, %s", in.Cut, CutBefore, CutAfter, CutDuring)
	}
	in.Fault.Delay = time.Duration(in.DelayMS) * time.Millisecond
	return map[string]int64{"id": s.AddFault(in.Fault)}, nil
}

func (s *Server) controlRequests(method, path string) any {
	type logged struct {
		Request
		Body string `json:"body"`
	}
	list := []logged{}
	for _, r := range s.Requests() {
		if (method == "" || strings.EqualFold(method, r.Method)) && (path == "" || globMatch(path, r.Path)) {
			list = append(list, logged{r, string(r.Body)})
		}
	}
	return map[string]any{"count": len(list), "requests": list}
}
