package syncer

import (
	"net/url"
	"strconv"

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
