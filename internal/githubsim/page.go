package githubsim

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// issuePage is what a person sees who opens an html_url in a browser.
var issuePage = template.Must(template.New("issue").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}} · {{.Repository}}#{{.Number}}</title>
<style>body{font:16px/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap;font:inherit}.label{border:1px solid;border-radius:1em;padding:0 .6em;margin-right:.4em}article{border-top:1px solid #ccc}</style>
<p>Simulated GitHub · {{.Repository}}</p>
<h1>{{.Title}} <small>#{{.Number}}</small></h1>
<p><b>{{.State}}{{with .StateReason}} ({{.}}){{end}}</b>{{if .Locked}} · locked{{end}} · opened by {{or .User "ghost"}} {{.CreatedAt.Format "2 January 2006"}}</p>
<p>{{range .Labels}}<span class="label">{{.}}</span>{{end}}</p>
<pre>{{with .Body}}{{.}}{{else}}No description provided.{{end}}</pre>
{{range .Talk}}<article><p><b>{{or .User "ghost"}}</b> {{.CreatedAt.Format "2 January 2006"}}</p><pre>{{.Body}}</pre></article>
{{end}}</html>
`))

// webPage answers a browser's request for /{owner}/{repo}/issues/{number} of a
// public repository; ok is false for everything else.
func (s *Server) webPage(w http.ResponseWriter, r *http.Request) (ok bool) {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(segments) != 4 || segments[2] != "issues" && segments[2] != "pull" {
		return false
	}
	i, talk, found := s.publicIssue(segments[0]+"/"+segments[1], segments[3])
	if !found {
		http.NotFound(w, r)
		return true
	}
	var b bytes.Buffer
	err := issuePage.Execute(&b, struct {
		Issue
		Talk []Comment
	}{i, talk})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return true
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the browser may be gone
	return true
}

func (s *Server) publicIssue(fullName, number string) (Issue, []Comment, bool) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil || r.private {
		return Issue{}, nil, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Issue{}, nil, false
	}
	i, err := s.store.issue(fullName, n)
	if err != nil {
		return Issue{}, nil, false
	}
	talk := []Comment{}
	for _, m := range i.comments {
		talk = append(talk, m.snapshot())
	}
	return i.snapshot(), talk, true
}
