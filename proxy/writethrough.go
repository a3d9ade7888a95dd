package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/sqlparse"
	"github.com/pghub/pghub/writers"
)

const (
	planSavepoint = "pghub_plan"
	// defaultMaxRows is how many rows one statement may change when the client
	// has not set pghub.max_rows: an UPDATE without WHERE must not close every issue.
	defaultMaxRows = 100
	// planAttempts is how often a statement is planned anew because somebody
	// else changed its rows in between.
	planAttempts = 3
	// settingsPerQuery keeps the queries that hand over answers below the
	// server's limit of 1664 columns.
	settingsPerQuery = 500
)

// lane runs an intercepted statement in the protocol it came in. After a
// failed result the client has had its error and the transaction is aborted.
type lane interface {
	// queries runs hidden queries inside the client's transaction, in one round
	// trip. After one that fails the others are not run.
	queries(qs ...string) ([]reply, error)
	// plan opens a transaction block if there is none, sets a savepoint, runs
	// the setup query and then the statement, and collects what the trigger
	// reports. The second column that setup selects is pghub.max_rows.
	plan(setup string, rows *plannedRows) (failed bool, err error)
	// plain runs the statement for the client, unchanged.
	plain() (failed bool, err error)
	// apply runs the setup queries, the statement for the client, and finish.
	// The client sees success only if finish succeeds.
	apply(setup []string, finish string) (failed bool, err error)
	// fail makes the server raise an error.
	fail(r *refused) error
}

// refused is an error for the client.
type refused struct{ writers.Refusal }

func refusal(code, message string) *refused {
	return &refused{writers.Refusal{SQLSTATE: code, Message: message}}
}

func asRefused(err error) *refused { return &refused{*writers.Refuse(err)} }

func (r *refused) detail(format string, args ...any) *refused {
	r.Detail = fmt.Sprintf(format, args...)
	return r
}

func (r *refused) hint(hint string) *refused { r.Hint = hint; return r }

// raise is the query by which the server raises the error.
func (r *refused) raise() string {
	return fmt.Sprintf("SELECT pghub.raise_error('%s', %s, %s, %s)", r.SQLSTATE, literal(r.Message), literal(r.Detail), literal(r.Hint))
}

// literal writes text as an SQL expression that is plain ASCII, so that it
// means the same whatever client_encoding and standard_conforming_strings say.
func literal(text string) string {
	if text == "" {
		return "NULL"
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	return "pg_catalog.convert_from(pg_catalog.decode('" + base64.StdEncoding.EncodeToString([]byte(text)) + "', 'base64'), 'UTF8')"
}

// accepted is a change that GitHub has made and the client's transaction has
// not settled yet.
type accepted struct {
	entry int64
	name  string // for people: "issue 12 of acme/api (updated)"
}

// writeThrough carries one statement out: plan, GitHub, apply. An error means
// that the session is over.
func (s *session) writeThrough(ctx context.Context, l lane, st sqlparse.Statement) error {
	ours, failed, err := s.mayBeOurs(l, st)
	if err != nil || failed {
		return err
	}
	if !ours {
		_, err := l.plain()
		return err
	}
	for attempt := 1; ; attempt++ {
		token := nonce()
		rows := &plannedRows{signer: &s.p.signer, nonce: token, limit: defaultMaxRows}
		failed, err := l.plan("SELECT pg_catalog.set_config('pghub.mode', '"+s.p.signer.planMode(token, s.pid())+"', true), "+
			"pg_catalog.current_setting('pghub.max_rows', true)", rows)
		if err != nil || failed {
			return err
		}
		if rows.count == 0 {
			if _, _, failed, err := s.lock(l, nil); err != nil || failed {
				return err
			}
			_, err := l.plain()
			return err
		}
		if rows.count > rows.limit {
			return l.fail(refusal("54000", fmt.Sprintf("this statement would change %d rows on GitHub, more than the limit of %d", rows.count, rows.limit)).
				detail("Nothing was sent to GitHub.").
				hint("Narrow the WHERE clause, or raise the limit for this session: SET pghub.max_rows = " + strconv.Itoa(rows.count) + ";"))
		}
		if rows.err != nil {
			return l.fail(rows.err)
		}
		planned := make([]*writers.Planned, len(rows.changes))
		for i, c := range rows.changes {
			if planned[i], err = s.p.cfg.Writer.Check(ctx, c.Change); err != nil {
				return l.fail(asRefused(err))
			}
		}
		tx, changed, failed, err := s.lock(l, rows.changes)
		if err != nil || failed {
			return err
		}
		if changed {
			if attempt < planAttempts {
				continue
			}
			return l.fail(refusal("40001", "the rows to change were changed by others again and again").hint("Run the transaction again."))
		}
		return s.carryOut(ctx, l, st, rows.changes, planned, tx)
	}
}

// mayBeOurs asks the server whether one of the statement's targets is, under
// the client's search_path, a watched relation; a table of the user's own that
// shares a name must not be written twice.
func (s *session) mayBeOurs(l lane, st sqlparse.Statement) (ours, failed bool, err error) {
	if len(st.Targets) == 0 {
		return true, false, nil
	}
	var names []string
	for _, t := range st.Targets {
		name := pgx.Identifier{t.Name}
		if t.Schema != "" {
			name = pgx.Identifier{t.Schema, t.Name}
		}
		names = append(names, "pg_catalog.to_regclass("+literal(name.Sanitize())+")")
	}
	replies, err := l.queries("SELECT pg_catalog.count(*) FROM (VALUES (" + strings.Join(names, "), (") + ")) AS t(oid) WHERE t.oid::pg_catalog.oid " +
		"OPERATOR(pg_catalog.=) ANY ('{" + s.p.watched.oidList() + "}'::pg_catalog.oid[])")
	if err != nil {
		return false, false, err
	}
	if e := replies[0].err; e != nil {
		s.failLane(l, e)
		return false, true, nil
	}
	return len(replies[0].row) != 1 || string(replies[0].row[0]) != "0", false, nil
}

// transaction is what the ledger wants to know of the client's transaction.
type transaction struct {
	xid, role, application string
	idleTimeout            string // the client's idle_in_transaction_session_timeout
	pid                    int32
}

// lock ends the plan, locks the planned rows and sees whether they are still
// what was planned.
func (s *session) lock(l lane, changes []change) (tx transaction, changed, failed bool, err error) {
	// What the plan did is undone, its settings included.
	queries := []string{"ROLLBACK TO SAVEPOINT " + planSavepoint, "RELEASE SAVEPOINT " + planSavepoint}
	prepared := len(queries)
	byTable := map[string][]change{}
	for _, c := range changes {
		byTable[c.Table] = append(byTable[c.Table], c)
	}
	for _, table := range slices.Sorted(maps.Keys(byTable)) { // one order for all sessions
		var ids, digests []string
		for _, c := range byTable[table] {
			if c.Op != "insert" {
				ids = append(ids, strconv.FormatInt(c.id, 10))
				digests = append(digests, c.Digest)
			}
		}
		queries = append(queries, fmt.Sprintf("SELECT pg_catalog.cardinality(changed), xid, pid, role, application, idle_timeout FROM pghub.lock_planned(%s, '{%s}', '{%s}')",
			literal(table), strings.Join(ids, ","), strings.Join(digests, ",")))
	}
	replies, err := l.queries(queries...)
	if err != nil {
		return tx, false, false, err
	}
	for i, r := range replies {
		if r.err != nil {
			r.err.Where = ""
			s.failLane(l, r.err)
			return tx, false, true, nil
		}
		if i < prepared {
			continue
		}
		if len(r.row) != 6 {
			return tx, false, false, errServerGone
		}
		pid, _ := strconv.ParseInt(string(r.row[2]), 10, 32)
		idle := tx.idleTimeout
		if i == prepared { // the next table's call finds it switched off
			idle = string(r.row[5])
		}
		tx = transaction{idleTimeout: idle, xid: string(r.row[1]), pid: int32(pid), role: string(r.row[3]), application: string(r.row[4])}
		if r.row[0] != nil && string(r.row[0]) != "0" {
			changed = true
		}
	}
	return tx, changed, false, nil
}

// failLane tells the client of an error that the server raised on a hidden query.
func (s *session) failLane(l lane, e *serverError) {
	if sl, ok := l.(*simpleLane); ok {
		sl.run.failed = true
	}
	s.tellError(e, 0)
}

// carryOut takes planned and locked changes to GitHub, and GitHub's answers to
// the client's transaction.
func (s *session) carryOut(ctx context.Context, l lane, st sqlparse.Statement, changes []change, planned []*writers.Planned, tx transaction) error {
	// Rows that do not change need no request and no entry.
	var sent []int
	var entries []ledger.Change
	for i, p := range planned {
		if p.NoOp {
			continue
		}
		sent = append(sent, i)
		entries = append(entries, ledger.Change{
			Table: p.Table, Op: string(p.Op), RepositoryID: p.RepositoryID, RowID: p.ID, Number: p.Number, Columns: p.Values(),
		})
	}
	answers := make([]writers.Result, len(planned))
	if len(sent) > 0 {
		ids, err := s.intent(ctx, st, tx, entries)
		if err != nil {
			s.p.log.Error("a write was refused because its intent could not be recorded", "error", err)
			return l.fail(refusal("58000", "pghub could not record the intent to write, so nothing was sent to GitHub").hint("See pghub's log."))
		}
		s.p.markBusy(ids)
		done, r := s.ask(ctx, sent, planned, answers, ids)
		s.pending = append(s.pending, done...)
		s.p.unmarkBusy(ids[len(done):])
		if r != nil {
			return l.fail(r)
		}
	}
	setup, expected, err := s.answerSettings(changes, answers, tx.xid)
	if err != nil {
		return l.fail(refusal("XX000", "GitHub's answer could not be stored: "+err.Error()))
	}
	_, err = l.apply(setup, fmt.Sprintf("SELECT pghub.finish_apply(%d, %d, %s)", expected, len(changes), literal(tx.idleTimeout)))
	return err
}

func (s *session) intent(ctx context.Context, st sqlparse.Statement, tx transaction, entries []ledger.Change) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return s.p.ledger.Intent(ctx, ledger.Statement{
		Role: tx.role, Application: tx.application, Kind: strings.ToLower(st.Kind.String()), PID: tx.pid, XID: tx.xid, Changes: entries,
	})
}

// ask makes the changes on GitHub, one after the other, and stops at the first
// that fails. It returns what GitHub has accepted, and the error for the client.
func (s *session) ask(ctx context.Context, sent []int, planned []*writers.Planned, answers []writers.Result, entries []int64) (done []accepted, r *refused) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.cancelAsk = cancel
	if s.ending {
		cancel()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.cancelAsk = nil
		s.mu.Unlock()
	}()
	s.flush()

	for n, i := range sent {
		p := planned[i]
		var result writers.Result
		err := ctx.Err()
		if err == nil {
			result, err = s.p.cfg.Writer.Apply(ctx, p)
		}
		o, refused := s.judge(ctx, p, result, err, n, len(sent), done)
		if o.Status == ledger.StatusAnswered || o.Status == ledger.StatusUnknown {
			done = append(done, accepted{entry: entries[n], name: describe(p, result)})
		}
		if err := s.record(ctx, p.Op, outcome{entries[n], o}, result); err != nil {
			s.p.log.Error("GitHub's answer could not be recorded", "entry", entries[n], "error", err)
		}
		if refused != nil {
			for _, entry := range entries[n+1:] {
				if err := s.p.ledger.Record(context.WithoutCancel(ctx), entry, ledger.Outcome{Status: ledger.StatusSkipped}); err != nil {
					s.p.log.Error("a skipped write could not be recorded", "entry", entry, "error", err)
				}
			}
			return done, refused
		}
		answers[i] = result
	}
	return done, nil
}

// judge turns what a writer returned into the ledger's outcome and the
// client's error, if any.
func (s *session) judge(ctx context.Context, p *writers.Planned, result writers.Result, err error, n, total int, done []accepted) (ledger.Outcome, *refused) {
	o := ledger.Outcome{Status: ledger.StatusAnswered, Requests: result.Requests}
	if len(result.RequestIDs) > 0 {
		o.RequestID = result.RequestIDs[len(result.RequestIDs)-1]
	}
	if result.Row != nil {
		o.RowID = result.Row.ID()
		o.Number, _ = result.Row.Get("number").(int64)
		o.UpdatedAt, _ = result.Row.Get("updated_at").(time.Time)
	}
	if err == nil {
		return o, nil
	}
	r := asRefused(err)
	if ctx.Err() != nil && (result.Row == nil && !result.Deleted) && r.SQLSTATE != "08007" {
		r = refusal("57014", "canceling statement due to user request")
	}
	switch {
	case result.Row != nil || result.Deleted: // a part was accepted
	case r.SQLSTATE == "08007":
		o.Status = ledger.StatusUnknown
	default:
		o.Status = ledger.StatusRefused
	}
	o.SQLSTATE, o.Message, o.Detail = r.SQLSTATE, r.Message, r.Detail
	if total > 1 {
		sofar := fmt.Sprintf("This was row %d of %d.", n+1, total)
		if len(done) > 0 {
			sofar += " GitHub has accepted and keeps: " + listNames(done) + "."
		} else {
			sofar += " GitHub has accepted no row before it."
		}
		r.Detail = strings.TrimSpace(r.Detail + " " + sofar)
	}
	return o, r
}

// answerSettings builds the queries that hand GitHub's answers to the trigger,
// and says how many rows the statement will change.
func (s *session) answerSettings(changes []change, answers []writers.Result, xid string) (queries []string, expected int, err error) {
	token := nonce()
	settings := []string{
		set("pghub.mode", s.p.signer.applyMode(token, s.pid(), xid)),
		set("pghub.inserted", "0"), set("pghub.applied", "0"),
	}
	ids := map[string]string{}
	// Inserts take their answers by order, so they come first.
	ordinal := 0
	add := func(i int) error {
		c := changes[i]
		a := answer{Table: c.Table, Op: c.Op, ID: c.id, Old: c.Digest}
		if row := answers[i].Row; row != nil && c.Op != "delete" {
			if a.Row, err = row.JSON(); err != nil {
				return err
			}
		}
		body, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if c.Op != "insert" {
			ids[strconv.FormatInt(c.id, 10)] = strconv.Itoa(ordinal)
		}
		settings = append(settings, set("pghub.answer_"+strconv.Itoa(ordinal), s.p.signer.answer(token, ordinal, body)))
		ordinal++
		return nil
	}
	for _, inserts := range []bool{true, false} {
		for i, c := range changes {
			if (c.Op == "insert") == inserts {
				if err := add(i); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	index, err := json.Marshal(ids)
	if err != nil {
		return nil, 0, err
	}
	settings = append(settings, set("pghub.ids", string(index)))
	for chunk := range slices.Chunk(settings, settingsPerQuery) {
		queries = append(queries, "SELECT "+strings.Join(chunk, ", "))
	}
	return queries, len(changes), nil
}

// set is an expression that sets a setting for the transaction without
// returning its value. All values are plain ASCII without quotes or backslashes.
func set(name, value string) string {
	return "pg_catalog.length(pg_catalog.set_config('" + name + "', '" + value + "', true))"
}

// pid is the server process of the session, from its BackendKeyData.
func (s *session) pid() uint32 {
	if len(s.key) < 4 {
		return 0
	}
	return uint32(s.key[0])<<24 | uint32(s.key[1])<<16 | uint32(s.key[2])<<8 | uint32(s.key[3])
}

func describe(p *writers.Planned, result writers.Result) string {
	number := p.Number
	if result.Row != nil {
		if n, ok := result.Row.Get("number").(int64); ok {
			number = n
		}
	}
	verb := map[writers.Op]string{"insert": "created", "update": "updated", "delete": "deleted"}[p.Op]
	if number == 0 {
		return fmt.Sprintf("%s, number not known (%s)", p.Table, verb)
	}
	if p.FullName != "" {
		return fmt.Sprintf("%s %s#%d (%s)", p.Table, p.FullName, number, verb)
	}
	return fmt.Sprintf("%s #%d (%s)", p.Table, number, verb)
}

// listNames names at most ten changes.
func listNames(changes []accepted) string {
	const most = 10
	var names []string
	for _, a := range changes[:min(len(changes), most)] {
		names = append(names, a.name)
	}
	text := strings.Join(names, ", ")
	if more := len(changes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// settle ends the account of what GitHub accepted in the transaction that has
// just ended, or of which a part may have been rolled back to a savepoint. It
// returns the warning the client gets, or nil.
func (s *session) settle(committed bool) []byte {
	if len(s.pending) == 0 {
		return nil
	}
	names := listNames(s.pending)
	if !committed && s.status != 'I' {
		// ROLLBACK TO SAVEPOINT: which rows it concerns is seen when the
		// transaction ends.
		s.partial = true
		return warning("changes that GitHub accepted since the savepoint are not rolled back there",
			"GitHub keeps what this transaction sent after the savepoint, of: "+names+". The mirror is brought to GitHub's state when the transaction ends.")
	}
	if committed && !s.partial {
		outcomes := make([]outcome, len(s.pending))
		for i, a := range s.pending {
			outcomes[i] = outcome{a.entry, ledger.Outcome{Status: ledger.StatusCommitted}}
		}
		if s.p.recordLater(outcomes) {
			s.pending = nil
			return nil
		} // else the repair loop closes them
	}
	s.leavePending()
	if committed {
		return nil
	}
	return warning("the transaction was rolled back, but GitHub keeps the changes it accepted",
		"GitHub keeps: "+names+". The mirror is brought to GitHub's state now.")
}

func (s *session) entries() []int64 {
	ids := make([]int64, len(s.pending))
	for i, a := range s.pending {
		ids[i] = a.entry
	}
	return ids
}

// leavePending leaves the transaction's entries to the repair loop.
func (s *session) leavePending() {
	s.p.unmarkBusy(s.entries())
	s.pending, s.partial = nil, false
	s.p.wakeRepairs()
}

// settleLost leaves the transaction of a session that is gone to the repair loop.
func (s *session) settleLost() {
	if len(s.pending) > 0 {
		s.leavePending()
	}
}

func warning(message, detail string) []byte {
	msg, err := (&pgproto3.NoticeResponse{
		Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "01000", Message: message, Detail: detail,
	}).Encode(nil)
	if err != nil {
		return nil
	}
	return msg
}

var errBadReport = errors.New("a report of the write-through trigger could not be read")
