package syncer

import (
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/pghub/pghub/schema"
)

// collection says how one kind of object is read from GitHub. Its variables
// stand in the file named after it.
type collection struct {
	// name is the table's name in schema github.
	name  string
	table *schema.Table
	// path is the list, below /repositories/{id}/.
	path string
	// scan selects everything, oldest first where GitHub can sort.
	scan url.Values
	// newest selects the most recently changed object alone: it tells from
	// where the first poll must start, and the number of its last page how
	// many objects there are. Nil: the list has no order of change.
	newest url.Values
	// changes selects what changed, oldest change first; the poll adds since.
	// Nil: the list has no since, and polls read it as a whole.
	changes url.Values
	// byTime says that the scan, too, is in the order of changes and goes on by
	// time instead of GitHub's link.
	byTime bool
	// after names the collection whose backfill must be complete first.
	after string
	// priority is the River priority of its backfill, 1 first.
	priority int
	// numbered says that objects count up from 1, so that the youngest one
	// tells how many there may be where GitHub does not.
	numbered bool
	// single is the path of one object below /repositories/{id}/, made from
	// the column named key of its row. A row that vanished from a complete
	// list is looked for there before it is removed.
	key    string
	single func(key string) string
}

// collections are in the order in which a poll reads them: what others refer
// to comes first.
var collections = []*collection{label, milestone, issue, issueComment}

func collectionByName(name string) *collection {
	for _, c := range collections {
		if c.name == name {
			return c
		}
	}
	return nil
}

// list is the path of the collection's list in one repository.
func (c *collection) list(repositoryID int64) string {
	return repositoryPath(repositoryID) + "/" + c.path
}

// scanFrom is where a scan of the whole list begins.
func (c *collection) scanFrom(repositoryID int64) string {
	return c.list(repositoryID) + "?" + c.scan.Encode()
}

// since is the list of what changed at or after t; of everything if t is zero.
func (c *collection) since(repositoryID int64, t time.Time) string {
	q := url.Values{}
	maps.Copy(q, c.changes)
	if !t.IsZero() {
		q.Set("since", t.UTC().Format(time.RFC3339))
	}
	return c.list(repositoryID) + "?" + q.Encode()
}

// onwards is what to read after a page in the order of changes: what changed
// since its last object. Going on by page would jump over an object whenever
// one in front of us changes, moves to the end, and the rest moves up. It
// starts one second back, because whether since includes its own second is not
// promised; a page that spans no more than that is left by its link.
func (c *collection) onwards(repositoryID int64, page, link string, newest time.Time) string {
	if link == "" {
		return ""
	}
	var since time.Time
	if u, err := url.Parse(page); err == nil {
		since, _ = time.Parse(time.RFC3339, u.Query().Get("since"))
	}
	if step := newest.Add(-time.Second); step.After(since) {
		return c.since(repositoryID, step)
	}
	return link
}

// repositoryPath names a repository by what a rename does not change.
func repositoryPath(id int64) string {
	return "repositories/" + strconv.FormatInt(id, 10)
}

// perPage is the most GitHub gives in one page.
const perPage = 100

func query(pairs ...string) url.Values {
	v := url.Values{"per_page": {strconv.Itoa(perPage)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}
