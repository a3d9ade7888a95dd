package githubsim

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Page sizes: GitHub gives 30 rows unless asked for another number, and takes
// anything above 100 for 100.
const (
	defaultPerPage = 30
	maxPerPage     = 100
)

// maxCountedIssues is how far page numbers reach into the issues of a
// repository; page 100 of 100 rows is refused.
const maxCountedIssues = 10_000

func (c *call) perPage() int {
	n, err := strconv.Atoi(c.query.Get("per_page"))
	if err != nil || n < 1 {
		return defaultPerPage
	}
	return min(n, maxPerPage)
}

func (c *call) page() int {
	n, err := strconv.Atoi(c.query.Get("page"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// links collects the entries of a Link header.
type links []string

func (l *links) add(c *call, rel string, set map[string]string) {
	q := url.Values{}
	for k, v := range c.query {
		q[k] = v
	}
	for _, k := range []string{"after", "before", "page"} {
		q.Del(k)
	}
	for k, v := range set {
		q.Set(k, v)
	}
	path := c.path
	if c.repo != nil {
		// Whatever form the request used, links name the repository by id.
		path = "/repositories/" + strconv.FormatInt(c.repo.id, 10) + c.params[restOfPath]
	}
	*l = append(*l, "<"+c.api+path+"?"+q.Encode()+`>; rel="`+rel+`"`)
}

func (l links) set(h http.Header) {
	if len(l) > 0 {
		h.Set("Link", strings.Join(l, ", "))
	}
}

// countedPage cuts the page out of rows that the request asks for by number and
// sets the Link header with prev, next, last and first.
func countedPage[T any](c *call, rows []T) []T {
	page, size := c.page(), c.perPage()
	last := (len(rows) + size - 1) / size
	number := func(n int) map[string]string { return map[string]string{"page": strconv.Itoa(n)} }
	var l links
	if page > 1 {
		l.add(c, "prev", number(min(page-1, max(last, 1))))
	}
	if page < last {
		l.add(c, "next", number(page+1))
		l.add(c, "last", number(last))
	}
	if page > 1 {
		l.add(c, "first", number(1))
	}
	l.set(c.header)
	if page > last {
		return nil
	}
	start := (page - 1) * size
	return rows[start:min(start+size, len(rows))]
}

// countedPageBackwards is countedPage over rows in reverse order.
func countedPageBackwards[T any](c *call, rows []T) []T {
	page, size := c.page(), c.perPage()
	countedPage(c, rows) // sets the links, which depend on the number of rows only
	end := len(rows) - (page-1)*size
	if end <= 0 {
		return nil
	}
	cut := slices.Clone(rows[max(end-size, 0):end])
	slices.Reverse(cut)
	return cut
}

// cursorPrefix starts every cursor, as it does GitHub's.
const cursorPrefix = "cursor:v2:"

// cursor writes a place in a sorted list the way GitHub does: base64 of a prefix
// and a MessagePack array of the sort value and the id.
func (r rank) cursor() string {
	b := append([]byte(cursorPrefix), 0x92, 0xcf)
	b = binary.BigEndian.AppendUint64(b, uint64(r.key))
	b = append(b, 0xcf)
	b = binary.BigEndian.AppendUint64(b, uint64(r.id))
	return base64.StdEncoding.EncodeToString(b)
}

func parseCursor(s string) (r rank, ok bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != len(cursorPrefix)+19 || !strings.HasPrefix(string(b), cursorPrefix) {
		return rank{}, false
	}
	b = b[len(cursorPrefix):]
	return rank{int64(binary.BigEndian.Uint64(b[2:])), int64(binary.BigEndian.Uint64(b[11:]))}, true
}
