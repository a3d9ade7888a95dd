package schema

// Postgres types as pg_catalog.format_type prints them.
const (
	typeInt   = "bigint"
	typeText  = "text"
	typeTexts = "text[]"
	typeBool  = "boolean"
	typeTime  = "timestamp with time zone"
	typeJSON  = "jsonb"
)

// The constructors below make a column whose value stands in the field of the same name; the methods after them refine
// it. Together they keep a table's file readable as the table it describes.

func integer(name, comment string) Column { return column(name, typeInt, comment) }
func text(name, comment string) Column    { return column(name, typeText, comment) }
func texts(name, comment string) Column   { return column(name, typeTexts, comment) }
func boolean(name, comment string) Column { return column(name, typeBool, comment) }
func instant(name, comment string) Column { return column(name, typeTime, comment) }
func document(name, comment string) Column {
	return column(name, typeJSON, comment)
}

func column(name, typ, comment string) Column {
	return Column{Name: name, Type: typ, Comment: comment, Path: name}
}

// at says that the value stands elsewhere than in the field of the column's name.
func (c Column) at(path string) Column { c.Path = path; return c }

// required says that GitHub's object always has the field and that it is never null.
func (c Column) required() Column { c.NotNull = true; return c }

// writable says that clients may set the column; def is its DEFAULT ("" for none).
func (c Column) writable(def string) Column { c.Writable, c.Default = true, def; return c }

// refers declares a foreign key to the id of another table.
func (c Column) refers(table string) Column { c.References = table + ".id"; return c }

// owned says that the row disappears together with the row it refers to.
func (c Column) owned() Column { c.Owned = true; return c }

// from replaces the plain copy by a derivation; Path still names the field that must be there.
func (c Column) from(derive func(o object, s Scope) (any, error)) Column { c.derive = derive; return c }

// repositoryID is the column of every table whose rows belong to a repository.
func repositoryID() Column {
	return integer("repository_id", "Repository that the row belongs to.").at("").required().refers("repository").owned().
		from(func(_ object, s Scope) (any, error) {
			if s.RepositoryID == 0 {
				return nil, errNoRepository
			}
			return s.RepositoryID, nil
		})
}
