// Package sqlparse tells from the text of an SQL statement whether it may write one of the mirrored
// tables, and what it does to the transaction. It is pure: text in, answer out, no I/O.
//
// A reader's statement must cost next to nothing, so the work is done in two steps. [Classifier.MayWrite]
// walks the bytes once and says no to every text that lacks either a writing keyword or the name of a
// watched table. Only what is left is given to PostgreSQL's own grammar by [Classifier.Parse], whose
// results are cached by text.
//
// The answers may err on the side of yes: the proxy then lets Postgres plan a statement which turns out
// not to touch a mirrored table, and loses a little time. A no may also be wrong (a function that
// writes, a name spelled in a way that only the server understands); the trigger on the table then
// refuses the write.
//
// The parser (libpg_query) replaces file descriptor 2 of the process by a pipe for as long as one parse
// takes. Parses are therefore serialised here; a line that another goroutine writes to os.Stderr meanwhile is
// lost, so a program that logs to standard error should write to a duplicate of that descriptor made
// at start-up.
package sqlparse

// Kind says what sort of statement a [Statement] is.
type Kind uint8

// The kinds of statement that the proxy tells apart. The zero value is Other: everything that is
// relayed untouched (DDL, CALL, DO, LISTEN, ...).
const (
	Other            Kind = iota
	Insert                // INSERT
	Update                // UPDATE
	Delete                // DELETE
	Merge                 // MERGE
	Copy                  // COPY, either direction
	Select                // SELECT, VALUES, TABLE
	Begin                 // BEGIN, START TRANSACTION
	Commit                // COMMIT, END
	Rollback              // ROLLBACK, ABORT
	Savepoint             // SAVEPOINT name
	RollbackTo            // ROLLBACK TO [SAVEPOINT] name
	Release               // RELEASE [SAVEPOINT] name
	PrepareTx             // PREPARE TRANSACTION: ends the session's transaction
	CommitPrepared        // COMMIT PREPARED: does not touch the session's transaction
	RollbackPrepared      // ROLLBACK PREPARED: does not touch the session's transaction
	Prepare               // PREPARE name AS ...
	Execute               // EXECUTE name
	Deallocate            // DEALLOCATE name, DEALLOCATE ALL
	Discard               // DISCARD ALL and its parts
	Explain               // EXPLAIN, with or without ANALYZE
	Set                   // SET, RESET
)

var kindNames = [...]string{
	Other: "OTHER", Insert: "INSERT", Update: "UPDATE", Delete: "DELETE", Merge: "MERGE", Copy: "COPY",
	Select: "SELECT", Begin: "BEGIN", Commit: "COMMIT", Rollback: "ROLLBACK", Savepoint: "SAVEPOINT",
	RollbackTo: "ROLLBACK TO", Release: "RELEASE", PrepareTx: "PREPARE TRANSACTION",
	CommitPrepared: "COMMIT PREPARED", RollbackPrepared: "ROLLBACK PREPARED", Prepare: "PREPARE",
	Execute: "EXECUTE", Deallocate: "DEALLOCATE", Discard: "DISCARD", Explain: "EXPLAIN", Set: "SET",
}

// String returns the SQL keywords of the kind in upper case, "OTHER" for Other.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "OTHER"
}

// Transaction reports whether a statement of this kind controls the session's own transaction.
func (k Kind) Transaction() bool {
	switch k {
	case Begin, Commit, Rollback, Savepoint, RollbackTo, Release, PrepareTx:
		return true
	}
	return false
}

// Name is the name of a relation as Postgres reads it: unquoted parts folded to lower case, quoted
// parts as they stand, cut to 63 bytes. Schema is empty when the statement does not qualify the name.
type Name struct{ Schema, Name string }

// Statement is one statement of a [Script].
type Statement struct {
	// Start and End are byte offsets into the parsed text. The text between them is the statement
	// without surrounding blanks, comments and the semicolon; executed alone it means the same.
	Start, End int
	// CharStart is the number of characters (UTF-8) before Start, which is what has to be added to the
	// position in an error report when the statement was sent to the server alone.
	CharStart int
	// Kind is that of the statement itself: a SELECT whose CTE deletes is a Select.
	Kind Kind
	// Writes says that executing the statement may write a watched table: as the target of INSERT, UPDATE, DELETE,
	// MERGE or COPY FROM, in a CTE, or under EXPLAIN ANALYZE. For Prepare it says so of the prepared
	// body, which the PREPARE itself does not run. It is false for EXECUTE (see PreparedName), for
	// functions and DO blocks.
	Writes bool
	// Targets are the relations that the statement writes, watched or not, in order of appearance,
	// without repetition.
	Targets []Name
	// HasReturning says that the statement itself (for Prepare and Explain: the one inside) is a write
	// with RETURNING.
	HasReturning bool
	// PreparedName is the name given to PREPARE, EXECUTE (also under EXPLAIN or CREATE TABLE AS) or
	// DEALLOCATE; empty for DEALLOCATE ALL.
	PreparedName string
	// SavepointName is the name given to SAVEPOINT, ROLLBACK TO or RELEASE.
	SavepointName string
	// Chain is set for COMMIT AND CHAIN and ROLLBACK AND CHAIN: a new transaction is open afterwards.
	Chain bool
	// Analyze is set for an EXPLAIN that runs its statement.
	Analyze bool
}

// Script is what one text sent by a client holds: no statement (blank or comments only), one, or,
// in a simple query, several. It is shared with the cache: do not change it.
type Script struct {
	Statements []Statement
}

// Writes reports whether any statement of the script may write a watched table.
func (s Script) Writes() bool {
	for i := range s.Statements {
		if s.Statements[i].Writes {
			return true
		}
	}
	return false
}
