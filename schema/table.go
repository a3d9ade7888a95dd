// Package schema holds the one description of every mirrored table, and all that follows from it: how an object of
// GitHub's REST API becomes a row, how rows reach Postgres, and the migrations that make the tables.
//
// Each table has one file (account.go, issue.go, ...). A test reads Postgres' catalog and fails when a migration and
// the description disagree in a name, a type, a comment, a NOT NULL or a foreign key.
package schema

import "strings"

// Schema names and roles in Postgres. All objects in both schemas belong to RoleSync.
const (
	// Name is the Postgres schema that holds the mirrored tables.
	Name = "github"
	// Internal is the Postgres schema of pghub's own tables (tombstones, sync state, ledger, job queue).
	Internal = "pghub"

	// RoleSync owns everything; only sessions of pghub itself run as this role.
	RoleSync = "pghub_sync"
	// RoleReader may SELECT from the mirrored tables.
	RoleReader = "pghub_reader"
	// RoleWriter may also INSERT, UPDATE and DELETE, which works through the proxy only.
	RoleWriter = "pghub_writer"
)

// Scope is what an object of GitHub's API does not say about itself but the request that brought it knows.
type Scope struct {
	// RepositoryID is the REST id of the repository the object belongs to; zero for objects outside repositories
	// (accounts, repositories).
	RepositoryID int64
}

// Column describes one column: its Postgres side (Name, Type, Comment, NotNull, References) and where its value
// stands in GitHub's object (Path, or a derivation for values that are not simply copied).
type Column struct {
	Name    string
	Type    string // Postgres type as format_type prints it: bigint, boolean, jsonb, text, text[], timestamp with time zone
	Comment string
	// Path is the place in GitHub's object, "user.id" for a field of an object. Empty for what Scope or pghub gives.
	Path string
	// Writable tells that a client may set this column through the proxy.
	Writable bool
	NotNull  bool
	// Default is an SQL expression; only writable columns have one, so that an INSERT may leave them out.
	Default string
	// References is "table.column" in schema github; the foreign key is deferrable, initially deferred.
	References string
	// Owned tells that a row goes when the row it references goes; other references become NULL instead.
	Owned bool

	// derive computes the value from the object; nil means: the value at Path, converted to Type.
	derive func(o object, s Scope) (any, error)
	// resolve is an SQL expression that computes the value during an upsert; i is the incoming row.
	resolve string
}

// Table describes one mirrored table.
type Table struct {
	Name       string
	Comment    string
	Columns    []Column
	PrimaryKey []string
	// Version is the column that GitHub advances with each change ("updated_at"), or empty where an object has none;
	// then the time of the fetch alone decides which of two states is newer.
	Version string

	referenced func(o object, s Scope) ([]Row, error)
	refuse     func(o object) error
	rename     *rename
	position   map[string]int
}

// Tables lists the mirrored tables so that a table comes after those it references.
var Tables = []*Table{Account, Repository, Label, Milestone, Issue, IssueComment}

// ByName returns the table of that name, or nil.
func ByName(name string) *Table {
	for _, t := range Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Column returns the column of that name, or nil.
func (t *Table) Column(name string) *Column {
	if i, ok := t.position[name]; ok {
		return &t.Columns[i]
	}
	return nil
}

// Position returns the index of a column in Columns and in Row.Values, or -1.
func (t *Table) Position(name string) int {
	if i, ok := t.position[name]; ok {
		return i
	}
	return -1
}

// Writable lists the names of the columns that a client may set through the proxy, in table order. Empty means that
// the table refuses writes.
func (t *Table) Writable() []string {
	var names []string
	for _, c := range t.Columns {
		if c.Writable {
			names = append(names, c.Name)
		}
	}
	return names
}

// newTable completes a description by the two columns that every table ends with.
func newTable(t Table) *Table {
	t.PrimaryKey = []string{"id"}
	t.Columns = append(t.Columns,
		Column{Name: "payload", Type: typeJSON, NotNull: true,
			Comment: "The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out."},
		Column{Name: "synced_at", Type: typeTime, NotNull: true,
			Comment: "When this state of the row was stored in the mirror, by this server's clock."},
	)
	t.position = make(map[string]int, len(t.Columns))
	for i, c := range t.Columns {
		t.position[c.Name] = i
	}
	return &t
}

// field returns the top-level key of GitHub's object that decides whether the column's value is known.
func (c *Column) field() string {
	field, _, _ := strings.Cut(c.Path, ".")
	return field
}
