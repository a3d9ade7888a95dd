package contract

// Exception is something that GitHub does and its description leaves out. This
// table is the one place for them; docs/github-contract.md is checked against
// it, and a test fails when an entry is no longer needed.
type Exception struct {
	Name string // short, unique
	What string // what GitHub does
	// Source is where GitHub says so, or who reported it.
	Source string
	// Kind, Operation and Subject choose the faults that this excuses; *
	// stands for any text. An empty Kind excuses nothing: the entry tells of
	// behaviour that no description could hold and that the simulated GitHub
	// has because of Source.
	Kind      Kind
	Operation string
	Subject   string
}

// Exceptions is the table.
var Exceptions = []Exception{}

// Excused returns the exception that covers a fault, or nil.
func Excused(f Fault) *Exception {
	for k := range Exceptions {
		e := &Exceptions[k]
		if e.Kind == f.Kind && glob(e.Operation, f.Operation) && glob(e.Subject, f.Subject) {
			met.mu.Lock()
			met.exceptions[e.Name]++
			met.mu.Unlock()
			return e
		}
	}
	return nil
}
