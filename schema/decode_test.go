package schema_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/schema"
)

func TestDecodeValues(t *testing.T) {
	t.Parallel()
	issue := issueObject(1<<40, 7, octocat).with(object{
		"labels":    []any{labelObject(11, "bug"), "wontfix", nil},
		"assignees": []object{userObject(21, "hubot"), octocat},
		"milestone": milestoneObject(31, octocat), "locked": true, "active_lock_reason": "too heated",
		"closed_by": userObject(22, "closer"), "pinned_comment": object{"id": 1 << 41},
		"performed_via_github_app": object{"id": 99, "slug": "app"},
	})
	for _, c := range []struct {
		table  *schema.Table
		object object
		column string
		want   any
	}{
		{schema.Issue, issue, "id", int64(1 << 40)},
		{schema.Issue, issue, "repository_id", repositoryOne},
		{schema.Issue, issue, "labels", []string{"bug", "wontfix"}},
		{schema.Issue, issue, "assignees", []string{"hubot", "octocat"}},
		{schema.Issue, issue, "assignee_id", int64(21)},
		{schema.Issue, issue, "milestone_id", int64(31)},
		{schema.Issue, issue, "user_id", int64(6_000_000_001)},
		{schema.Issue, issue, "closed_by_id", int64(22)},
		{schema.Issue, issue, "type", "Bug"},
		{schema.Issue, issue, "type_id", int64(410)},
		{schema.Issue, issue, "pinned_comment_id", int64(1 << 41)},
		{schema.Issue, issue, "performed_via_github_app_id", int64(99)},
		{schema.Issue, issue, "created_at", time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)},
		{schema.Issue, issue, "state_reason", nil},
		{schema.Issue, issue, "synced_at", nil},
		{schema.Issue, issue, "no_such_column", nil},
		{schema.Issue, issue.without("assignee"), "assignee_id", int64(21)}, // API version 2026-03-10
		{schema.Issue, issue.with(object{"user": nil}), "user_id", nil},
		{schema.Issue, issue.with(object{"type": nil}), "type", nil},
		{schema.Issue, issue.with(object{"title": "a\x00b"}), "title", "a\uFFFDb"},
		{schema.IssueComment, commentObject(1, 4711, octocat), "issue_number", int64(4711)},
		{schema.IssueComment, commentObject(1, 4711, octocat), "issue_id", nil},
		{schema.Repository, repositoryObject(1, octocat, "hello"), "license_key", "mit"},
		{schema.Repository, repositoryObject(1, octocat, "hello"), "topics", []string{"sync", "postgres"}},
		{schema.Repository, repositoryObject(1, octocat, "hello").with(object{"pushed_at": 1773100800}), "pushed_at", time.Unix(1773100800, 0).UTC()},
		{schema.Label, labelObject(1, "bug"), "default", false},
		{schema.Milestone, milestoneObject(1, octocat), "creator_id", int64(6_000_000_001)},
		{schema.Account, octocat, "site_admin", false},
	} {
		t.Run(c.table.Name+"."+c.column, func(t *testing.T) {
			t.Parallel()
			row, err := c.table.Decode(c.object.raw(t), one)
			if err != nil {
				t.Fatal(err)
			}
			if got := row.Get(c.column); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	issue := issueObject(1, 7, octocat)
	for name, c := range map[string]struct {
		table *schema.Table
		raw   string
		scope schema.Scope
		want  string
	}{
		"not JSON":            {schema.Issue, `{"id":`, one, "decoding issue"},
		"null":                {schema.Issue, `null`, one, "null is not an object"},
		"a list":              {schema.Issue, `[]`, one, "decoding issue"},
		"no id":               {schema.Issue, `{}`, one, "the object has no id"},
		"a fraction":          {schema.Issue, `{"id":1.5}`, one, "issue.id"},
		"too large":           {schema.Issue, `{"id":9223372036854775808}`, one, "issue.id"},
		"null where required": {schema.Issue, string(issue.with(object{"title": nil}).raw(t)), one, `the field "title" is null`},
		"no repository":       {schema.Issue, string(issue.raw(t)), schema.Scope{}, "issue.repository_id: the scope names no repository"},
		"a wrong type":        {schema.Issue, string(issue.with(object{"locked": "yes"}).raw(t)), one, "issue.locked"},
		"a wrong time":        {schema.Issue, string(issue.with(object{"created_at": "yesterday"}).raw(t)), one, `"yesterday" is not a time`},
		"no number in URL":    {schema.IssueComment, string(commentObject(1, 1, octocat).with(object{"issue_url": "https://x/y"}).raw(t)), one, "does not end in a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.table.Decode(json.RawMessage(c.raw), c.scope)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestPullRequestsAreNoIssues(t *testing.T) {
	t.Parallel()
	pull := issueObject(1, 7, octocat).with(object{"pull_request": object{"url": "https://api.example/pulls/7"}})
	if _, err := schema.Issue.Decode(pull.raw(t), one); !errors.Is(err, schema.ErrPullRequest) {
		t.Errorf("Decode: got %v", err)
	}
	if _, err := schema.Issue.Rows(pull.raw(t), one); !errors.Is(err, schema.ErrPullRequest) {
		t.Errorf("Rows: got %v", err)
	}
	if _, err := schema.Issue.Decode(pull.with(object{"pull_request": nil}).raw(t), one); err != nil {
		t.Errorf("pull_request null: got %v", err)
	}
}

func TestReferenced(t *testing.T) {
	t.Parallel()
	issue := issueObject(1, 7, octocat).with(object{
		"labels":    []any{labelObject(11, "bug"), object{"name": "without id"}, "plain"},
		"assignees": []object{userObject(21, "hubot")}, "assignee": userObject(21, "hubot"),
		"milestone": milestoneObject(31, userObject(23, "planner")),
	})
	rows, err := schema.Issue.Referenced(issue.raw(t), one)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		name := r.Get("login")
		if name == nil {
			name = r.Get("node_id")
		}
		got = append(got, r.Table.Name+" "+name.(string))
	}
	want := []string{"account octocat", "account hubot", "label LA_11", "account planner", "milestone MI_31"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPayloadIsStorable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"lone surrogate":      {`{"id":1,"login":"a","node_id":"b","bio":"\u00e9 \ud83d"}`, `{"bio":"é �","id":1,"login":"a","node_id":"b"}`},
		"plain":               {` {"id":1, "login":"a","node_id":"b"} `, `{"id":1, "login":"a","node_id":"b"}`},
		"escapes kept":        {`{"id":1,"login":"a","node_id":"\u003cb\u003e"}`, `{"id":1,"login":"a","node_id":"\u003cb\u003e"}`},
		"surrogate pair":      {`{"id":1,"login":"\ud83d\ude00","node_id":"b"}`, `{"id":1,"login":"😀","node_id":"b"}`},
		"nul":                 {`{"id":1,"login":"a\u0000","node_id":"b","k\u0000":["\u0000"]}`, `{"id":1,"k�":["�"],"login":"a�","node_id":"b"}`},
		"not UTF-8":           {"{\"id\":1,\"login\":\"a\xff\",\"node_id\":\"b\"}", `{"id":1,"login":"a�","node_id":"b"}`},
		"large number kept":   {`{"id":1,"login":"\u0000","node_id":"b","n":12345678901234567890123}`, `{"id":1,"login":"�","n":12345678901234567890123,"node_id":"b"}`},
		"credential left out": {`{"id":1,"login":"a","node_id":"b","r":{"temp_clone_token":"T0P"}}`, `{"id":1,"login":"a","node_id":"b","r":{}}`},
		"backslash u at end":  {`{"id":1,"login":"a","node_id":"\\u"}`, `{"id":1,"login":"a","node_id":"\\u"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row, err := schema.Account.Decode(json.RawMessage(c.raw), schema.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(row.Get("payload").(json.RawMessage)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":1,"login":"a\u0000","node_id":"\ud800"}`))
	for _, o := range []object{octocat, issueObject(1, 2, octocat), commentObject(1, 2, octocat), repositoryObject(1, octocat, "r")} {
		f.Add([]byte(o.raw(f)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, table := range schema.Tables {
			rows, err := table.Rows(raw, one)
			if err != nil {
				continue
			}
			for _, row := range rows {
				encoded, err := row.JSON()
				if err != nil || !json.Valid(encoded) {
					t.Errorf("JSON of a decoded row: %v", err)
				}
				if strings.Contains(string(encoded), `\u0000"`) && !strings.Contains(string(encoded), `\\u0000"`) {
					t.Errorf("U+0000 passed: %s", encoded)
				}
			}
		}
	})
}
