package githubsim_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	const labels = "/repos/octavia/box/labels"
	for _, name := range []string{"c#d", "a/b", "ünïcode 🎉", "100%", "with space"} {
		l := c.do(201, "POST", labels, map[string]any{"name": name, "color": "FF0000", "description": "d"}).object(t)
		if l["name"] != name || l["color"] != "ff0000" || l["default"] != false {
			t.Errorf("created %v", l)
		}
		got := c.do(200, "GET", labels+"/"+url.PathEscape(name), nil).object(t)
		if got["id"] != l["id"] {
			t.Errorf("%q is addressed as %v", name, got)
		}
		if c.do(200, "GET", l["url"].(string), nil).object(t)["id"] != l["id"] {
			t.Errorf("the url of %q leads elsewhere", name)
		}
	}
	for name, body := range map[string]map[string]any{
		`"already_exists"`:    {"name": "BUG"},
		`"code":"invalid"`:    {"name": "x", "color": "#ff0000"},
		"too long":            {"name": strings.Repeat("x", 51)},
		"100 characters":      {"name": "x", "description": strings.Repeat("x", 101)},
		`"missing_field"`:     {"name": " "},
		`name\" wasn't suppl`: {},
	} {
		if r := c.do(422, "POST", labels, body); !strings.Contains(string(r.body), name) {
			t.Errorf("%v: %s", body, r.body)
		}
	}
	names := column[string](c.all(labels+"?per_page=5"), "name")
	if !slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) || len(names) != 14 {
		t.Errorf("list of labels: %q", names)
	}
}

// Renaming and deleting a label changes what its issues show, not when they
// were updated.
func TestRenameAndDeleteLabel(t *testing.T) {
	t.Parallel()
	c, k := box(t)
	const issue = "/repos/octavia/box/issues/1"
	before := c.do(200, "GET", issue, nil).object(t)
	k.advance(1e12)
	r := c.do(200, "PATCH", "/repos/octavia/box/labels/Bug", map[string]any{"new_name": "defect"}).object(t)
	if r["name"] != "defect" || r["color"] != "d73a4a" {
		t.Errorf("renamed: %v", r)
	}
	after := c.do(200, "GET", issue, nil).object(t)
	if !slices.Equal(labelNames(after), []string{"defect"}) || after["updated_at"] != before["updated_at"] {
		t.Errorf("after the rename: %q, updated %v -> %v", labelNames(after), before["updated_at"], after["updated_at"])
	}
	c.do(404, "GET", "/repos/octavia/box/labels/bug", nil)
	c.do(422, "PATCH", "/repos/octavia/box/labels/defect", map[string]any{"new_name": "Question"})
	c.do(200, "PATCH", "/repos/octavia/box/labels/defect", map[string]any{"new_name": "DEFECT"}) // only its case
	c.do(204, "DELETE", "/repos/octavia/box/labels/defect", nil)
	after = c.do(200, "GET", issue, nil).object(t)
	if len(labelNames(after)) != 0 || after["updated_at"] != before["updated_at"] {
		t.Errorf("after the deletion: %q, updated %v -> %v", labelNames(after), before["updated_at"], after["updated_at"])
	}
}

func TestIssueLabels(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	const path = "/repos/octavia/box/issues/1/labels"
	for _, tc := range []struct {
		method, tail string
		body         any
		status       int
		want         []string // nil: the answer has no list
	}{
		{"GET", "", nil, 200, []string{"bug"}},
		{"POST", "", map[string]any{"labels": []string{"question", "BUG"}}, 200, []string{"bug", "question"}},
		{"POST", "", []string{"c#d"}, 200, []string{"bug", "question", "c#d"}},
		{"DELETE", "/c%23d", nil, 200, []string{"bug", "question"}},
		{"DELETE", "/c%23d", nil, 404, nil},
		{"PUT", "", map[string]any{"labels": []any{map[string]any{"name": "wontfix"}}}, 200, []string{"wontfix"}},
		{"PUT", "", map[string]any{"labels": []string{strings.Repeat("x", 51)}}, 422, nil},
		{"DELETE", "", nil, 204, nil},
		{"GET", "", nil, 200, []string{}},
	} {
		r := c.do(tc.status, tc.method, path+tc.tail, tc.body)
		if tc.want != nil {
			if got := column[string](r.list(t), "name"); !slices.Equal(got, tc.want) {
				t.Errorf("%s %s: %q, want %q", tc.method, tc.tail, got, tc.want)
			}
		}
	}
}
