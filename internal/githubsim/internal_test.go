package githubsim

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"
)

func TestNodeIDs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		prefix string
		ids    []int64
		want   string // "" = only read back
	}{
		// octocat/Hello-World and the first issue of it, as GitHub names them.
		{"R", []int64{1296269}, "R_kgDOABPHjQ"},
		{"I", []int64{1296269, 1}, "I_kwDOABPHjc4AAAAB"},
		{"I", []int64{4301296269, 4400817301}, ""},
		{"U", []int64{1<<32 - 1}, ""},
		{"U", []int64{1 << 32}, ""},
	} {
		got := nodeID(tc.prefix, tc.ids...)
		if tc.want != "" && got != tc.want {
			t.Errorf("nodeID(%s, %v) = %s, want %s", tc.prefix, tc.ids, got, tc.want)
		}
		prefix, id, err := parseNodeID(got)
		if err != nil || prefix != tc.prefix || id != tc.ids[len(tc.ids)-1] {
			t.Errorf("parseNodeID(%s) = %s, %d, %v", got, prefix, id, err)
		}
	}
	for _, bad := range []string{"", "I", "I_", "I_!!!", "I_kwDO", "MDU6SXNzdWUx"} {
		if _, _, err := parseNodeID(bad); err == nil {
			t.Errorf("parseNodeID(%q) accepted it", bad)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f", "ä🎉\u2028", "\xff\xfe broken \xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q is not JSON: %v", appendString(nil, s), err)
		}
		if utf8.ValidString(s) && got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"/repos/*/*/issues", "/repos/o/r/issues", true},
		{"/repos/*/*/issues", "/repos/o/r/issues/1", false},
		{"/repos/*/issues", "/repos/o/r/issues", false},
		{"/repos/**", "/repos/o/r/issues/1", true},
		{"**/issues/*", "/repositories/7/issues/12", true},
		{"/graphql", "/graphql", true},
		{"/graphql*", "/graphql", true},
		{"", "/x", false},
		{"**", "", true},
		{"/repos/o/r/labels/a%20b", "/repos/o/r/labels/a%20b", true},
	} {
		if got := globMatch(tc.pattern, tc.path); got != tc.want {
			t.Errorf("globMatch(%q, %q) = %v", tc.pattern, tc.path, got)
		}
	}
}

func TestSortedList(t *testing.T) {
	t.Parallel()
	type row struct{ key, id int64 }
	l := sortedList[*row]{rank: func(r *row) rank { return rank{r.key, r.id} }}
	rnd := rand.New(rand.NewPCG(1, 2))
	var rows []*row
	for k := range 500 {
		r := &row{rnd.Int64N(50), int64(k)} // many ties
		rows = append(rows, r)
		l.insert(r)
	}
	for range 2000 {
		r := rows[rnd.IntN(len(rows))]
		l.remove(r)
		r.key = rnd.Int64N(50)
		l.insert(r)
	}
	if len(l.rows) != len(rows) {
		t.Fatalf("%d rows, want %d", len(l.rows), len(rows))
	}
	if !slices.IsSortedFunc(l.rows, func(a, b *row) int { return l.rank(a).compare(l.rank(b)) }) {
		t.Error("rows are out of order")
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	for _, r := range []rank{{0, 1}, {1_700_000_000, 4_400_817_301}, {1 << 40, 1 << 50}} {
		if got, ok := parseCursor(r.cursor()); !ok || got != r {
			t.Errorf("%v came back as %v, %v", r, got, ok)
		}
	}
	for _, bad := range []string{"", "Y3Vyc29y", "!", "Y3Vyc29yOnYyOg=="} {
		if _, ok := parseCursor(bad); ok {
			t.Errorf("%q was taken for a cursor", bad)
		}
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	// The vector of GitHub's page "Validating webhook deliveries".
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if got := Signature("It's a Secret to Everybody", []byte("Hello, World!")); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}
