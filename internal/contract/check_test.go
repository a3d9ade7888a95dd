package contract_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/githubsim"
)

// TestFaultsAreFound spoils an exchange that is right, in one place each time: a
// validator that finds nothing would let everything through.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	rest := contract.Need(t)
	c := seeded(t)
	right := func() contract.Exchange {
		r := c.do(200, "GET", rocket+"/issues?state=all&per_page=2", nil)
		return contract.Exchange{
			Method: "GET", URL: &url.URL{Path: rocket + "/issues", RawQuery: "state=all&per_page=2"},
			Header: http.Header{"User-Agent": {"pghub"}, "X-Github-Api-Version": {"2022-11-28"}},
			Answer: &contract.Answer{Status: 200, Header: r.header, Body: r.body},
		}
	}
	// edit changes the first issue of the answer.
	edit := func(x *contract.Exchange, change func(issue map[string]any)) {
		var list []map[string]any
		decode(t, x.Answer.Body, &list)
		change(list[0])
		x.Answer.Body, _ = json.Marshal(list)
	}
	patch := func(x *contract.Exchange, body string) {
		x.Method, x.URL, x.Body, x.Answer = "PATCH", &url.URL{Path: rocket + "/issues/1"}, []byte(body), nil
		x.Header.Set("Content-Type", "application/json")
	}
	for name, tc := range map[string]struct {
		spoil   func(x *contract.Exchange)
		kind    contract.Kind // "" = nothing is wrong
		subject string
	}{
		"right":               {func(*contract.Exchange) {}, "", ""},
		"right change":        {func(x *contract.Exchange) { patch(x, `{"title":"x","milestone":null,"labels":["a"]}`) }, "", ""},
		"path":                {func(x *contract.Exchange) { x.URL.Path = rocket + "/issue" }, contract.UnknownOperation, "GET " + rocket + "/issue"},
		"method":              {func(x *contract.Exchange) { x.Method = "PUT" }, contract.UnknownOperation, "PUT " + rocket + "/issues"},
		"query":               {func(x *contract.Exchange) { x.URL.RawQuery = "stat=all" }, contract.UnknownQuery, "stat"},
		"value of the query":  {func(x *contract.Exchange) { x.URL.RawQuery = "state=every" }, contract.BadRequest, "query state /"},
		"type of the query":   {func(x *contract.Exchange) { x.URL.RawQuery = "per_page=many" }, contract.BadRequest, "query per_page"},
		"time of the query":   {func(x *contract.Exchange) { x.URL.RawQuery = "since=yesterday" }, contract.BadRequest, "query since /"},
		"header":              {func(x *contract.Exchange) { x.Header.Set("X-Odd", "1") }, contract.UnknownHeader, "X-Odd"},
		"version":             {func(x *contract.Exchange) { x.Header.Set("X-Github-Api-Version", "3") }, contract.BadRequest, "X-GitHub-Api-Version"},
		"no agent":            {func(x *contract.Exchange) { x.Header.Del("User-Agent") }, contract.BadRequest, "User-Agent"},
		"body of a read":      {func(x *contract.Exchange) { x.Body = []byte(`{}`) }, contract.BadRequest, "body"},
		"type in the body":    {func(x *contract.Exchange) { patch(x, `{"labels":"bug"}`) }, contract.BadRequest, "body /labels"},
		"value in the body":   {func(x *contract.Exchange) { patch(x, `{"state":"shut"}`) }, contract.BadRequest, "body /state"},
		"member of the body":  {func(x *contract.Exchange) { patch(x, `{"locked":true}`) }, contract.BadRequest, "body .locked"},
		"missing in the body": {func(x *contract.Exchange) { patch(x, `{"body":"b"}`); x.Method, x.URL.Path = "POST", rocket+"/issues" }, contract.BadRequest, "body /title"},
		"status":              {func(x *contract.Exchange) { x.Answer.Status = 206 }, contract.UnknownStatus, "206"},
		"refusal in HTML":     {func(x *contract.Exchange) { x.Answer.Status, x.Answer.Body = 409, []byte("<html>") }, contract.BadAnswer, "409"},
		"no JSON":             {func(x *contract.Exchange) { x.Answer.Body = []byte(`[{`) }, contract.BadAnswer, "200"},
		"content type":        {func(x *contract.Exchange) { x.Answer.Header.Set("Content-Type", "text/html") }, contract.BadAnswer, "200 Content-Type"},
		"missing member":      {func(x *contract.Exchange) { edit(x, func(i map[string]any) { delete(i, "node_id") }) }, contract.BadAnswer, "200 /0/node_id"},
		"type of a member":    {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["number"] = "7" }) }, contract.BadAnswer, "200 /0/number"},
		"null":                {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["title"] = nil }) }, contract.BadAnswer, "200 /0/title"},
		"deep member": {func(x *contract.Exchange) {
			edit(x, func(i map[string]any) { i["user"] = map[string]any{"login": 7} })
		}, contract.BadAnswer, "200 /0/user/login"},
		"time":         {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["created_at"] = "yesterday" }) }, contract.BadAnswer, "200 /0/created_at"},
		"address":      {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["html_url"] = "issues/7" }) }, contract.BadAnswer, "200 /0/html_url"},
		"enumeration":  {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["author_association"] = "FRIEND" }) }, contract.BadAnswer, "200 /0/author_association"},
		"new member":   {func(x *contract.Exchange) { edit(x, func(i map[string]any) { i["colour"] = "red" }) }, contract.UnknownField, "200 [].colour"},
		"not the list": {func(x *contract.Exchange) { x.Answer.Body = []byte(`{"total_count":0}`) }, contract.BadAnswer, "200 /"},
	} {
		x := right()
		tc.spoil(&x)
		_, faults, err := rest.Check(x)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name, faults, tc.kind, tc.subject)
	}
}

// expect requires a fault of that kind among faults, or none at all.
func expect(t *testing.T, name string, faults []contract.Fault, kind contract.Kind, subject string) {
	t.Helper()
	if kind == "" && len(faults) == 0 {
		return
	}
	for _, f := range faults {
		if f.Kind == kind && f.Subject == subject {
			if f.Operation == "" || f.Detail == "" {
				t.Errorf("%s: the fault does not say what and where: %+v", name, f)
			}
			return
		}
	}
	t.Errorf("%s: want %q %q, got %v", name, kind, subject, faults)
}

func TestGraphQLFaultsAreFound(t *testing.T) {
	t.Parallel()
	contract.Need(t)
	g, err := contract.LoadGraphQL()
	if err != nil {
		t.Fatal(err)
	}
	const doc = `query($n: Int!) { repository(owner: "o", name: "r") { isPrivate issue(number: $n) { title state labels(first: 1) { totalCount } } } }`
	const answer = `{"data":{"repository":{"isPrivate":true,"issue":{"title":"x","state":"OPEN","labels":null}}}}`
	for name, tc := range map[string]struct {
		doc, variables, answer string
		kind                   contract.Kind
		subject                string
	}{
		"right":              {doc, `{"n":1}`, answer, "", ""},
		"unknown field":      {`{ viewer { nonsense } }`, `{}`, `{"errors":[{"message":"no"}]}`, contract.BadDocument, "FieldsOnCorrectType"},
		"taken all the same": {`{ viewer { nonsense } }`, `{}`, `{"data":{"viewer":{"nonsense":1}}}`, contract.BadData, "document"},
		"variable":           {doc, `{"n":"one"}`, answer, contract.BadDocument, "variables"},
		"missing variable":   {doc, `{}`, answer, contract.BadDocument, "variables"},
		"type":               {doc, `{"n":1}`, strings.Replace(answer, `"x"`, `7`, 1), contract.BadData, "repository.issue.title"},
		"enumeration":        {doc, `{"n":1}`, strings.Replace(answer, `"OPEN"`, `"open"`, 1), contract.BadData, "repository.issue.state"},
		"null":               {doc, `{"n":1}`, strings.Replace(answer, `true`, `null`, 1), contract.BadData, "repository.isPrivate"},
		"null, explained":    {doc, `{"n":1}`, `{"data":{"repository":{"isPrivate":true,"issue":null}},"errors":[{"message":"gone","path":["repository","issue"]}]}`, "", ""},
		"missing":            {doc, `{"n":1}`, strings.Replace(answer, `"title":"x",`, ``, 1), contract.BadData, "repository.issue.title"},
		"not asked for":      {doc, `{"n":1}`, strings.Replace(answer, `"title"`, `"id":"x","title"`, 1), contract.BadData, "repository.issue.id"},
		"nothing":            {doc, `{"n":1}`, `{}`, contract.BadData, "body"},
		"silent error":       {doc, `{"n":1}`, `{"errors":[{}]}`, contract.BadData, "errors"},
	} {
		x := contract.Exchange{
			Method: "POST", URL: &url.URL{Path: "/graphql"}, Body: fmt.Appendf(nil, `{"query":%q,"variables":%s}`, tc.doc, tc.variables),
			Answer: &contract.Answer{Status: 200, Body: []byte(tc.answer)},
		}
		expect(t, name, g.Check(x), tc.kind, tc.subject)
	}
}

func TestWebhookFaultsAreFound(t *testing.T) {
	t.Parallel()
	w := webhooks(t)
	c := seeded(t)
	c.sim.SetWebhook("http://127.0.0.1:1/", "secret")
	title := "x"
	if _, err := c.sim.CreateIssue("orbital-labs/rocket", "", githubsim.IssueEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	sent := c.sim.Deliveries()[0]
	header := http.Header{}
	for _, name := range []string{"User-Agent", "X-Github-Hook-Id", "X-Github-Event", "X-Github-Hook-Installation-Target-Id",
		"X-Github-Hook-Installation-Target-Type", "X-GitHub-Delivery", "X-Hub-Signature-256"} {
		header.Set(name, "1")
	}
	for name, tc := range map[string]struct {
		spoil   func(event *string, header http.Header, payload map[string]any)
		kind    contract.Kind
		subject string
	}{
		"right":          {func(*string, http.Header, map[string]any) {}, "", ""},
		"event":          {func(e *string, _ http.Header, _ map[string]any) { *e = "issue" }, contract.BadEvent, "event"},
		"action":         {func(_ *string, _ http.Header, p map[string]any) { p["action"] = "opening" }, contract.BadEvent, "event"},
		"header":         {func(_ *string, h http.Header, _ map[string]any) { h.Del("X-Hub-Signature-256") }, contract.BadEvent, "header X-Hub-Signature-256"},
		"missing":        {func(_ *string, _ http.Header, p map[string]any) { delete(p, "sender") }, contract.BadEvent, "/"},
		"type":           {func(_ *string, _ http.Header, p map[string]any) { p["issue"].(map[string]any)["number"] = "1" }, contract.BadEvent, "/issue/number"},
		"null":           {func(_ *string, _ http.Header, p map[string]any) { p["repository"].(map[string]any)["name"] = nil }, contract.BadEvent, "/repository/name"},
		"new member":     {func(_ *string, _ http.Header, p map[string]any) { p["colour"] = "red" }, contract.UnknownField, ".colour"},
		"URI template":   {func(_ *string, _ http.Header, p map[string]any) { p["issue"].(map[string]any)["labels_url"] = "{name" }, contract.BadEvent, "/issue/labels_url"},
		"another action": {func(_ *string, _ http.Header, p map[string]any) { p["action"] = "labeled"; delete(p, "issue") }, contract.BadEvent, "/"},
	} {
		var payload map[string]any
		decode(t, sent.Payload, &payload)
		event, h := sent.Event, header.Clone()
		tc.spoil(&event, h, payload)
		raw, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := w.Check(event, h, raw)
		if err != nil {
			t.Fatal(err)
		}
		var left []contract.Fault
		for _, f := range faults {
			if contract.Excused(f) == nil {
				left = append(left, f)
			}
		}
		expect(t, name, left, tc.kind, tc.subject)
	}
}
