package proxy

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghub/pghub/sqlparse"
)

// inspectQuery decides whether a Query message has to be taken apart.
func (s *session) inspectQuery(msg []byte) func(context.Context) error {
	text := bytes.TrimSuffix(msg[5:], []byte{0})
	if !s.hiddenBlock && !s.p.classifier.MayWrite(text) {
		return nil
	}
	script, err := s.classify(text)
	if s.hiddenBlock {
		// It comes in place of a Sync and ends the same implicit transaction,
		// for which we have opened a block.
		if err != nil { // the server says what is wrong
			script.Statements = []sqlparse.Statement{{End: len(text)}}
		}
	} else if err != nil || !slices.ContainsFunc(script.Statements, intercepts) {
		// What our grammar does not know meets the trigger.
		return nil
	}
	sql := string(text)
	return func(ctx context.Context) error { return s.runScript(ctx, sql, script.Statements) }
}

// classify parses text as the server would.
func (s *session) classify(text []byte) (sqlparse.Script, error) {
	if s.backslash.Load() {
		return s.p.classifier.ParseBackslash(string(text))
	}
	return s.p.classifier.ParseBytes(text)
}

// intercepts reports whether a statement goes the way of plan and apply. COPY
// would have to be planned from data that has not come yet; EXPLAIN ANALYZE and
// SQL's PREPARE and EXECUTE do not name the row change themselves. The trigger
// refuses those.
func intercepts(st sqlparse.Statement) bool {
	switch st.Kind {
	case sqlparse.Insert, sqlparse.Update, sqlparse.Delete, sqlparse.Merge, sqlparse.Select:
		return st.Writes
	}
	return false
}

// script is the state of one Query message whose statements are run one by one.
type script struct {
	// block: we opened a transaction block that stands for the implicit
	// transaction of the message (PostgreSQL documentation, 55.2.2.1 Multiple
	// Statements in a Simple Query).
	block bool
	tag   []byte // CommandComplete of the last statement, until the commit is certain
	// failed: the client has been told of an error.
	failed bool
}

// runScript runs the statements of a Query message, at least one of which may
// write a mirrored table, and ends with the ReadyForQuery the client expects.
func (s *session) runScript(ctx context.Context, sql string, statements []sqlparse.Statement) error {
	s.lastExecute = 'Q'
	ok, err := s.drainBefore()
	if err != nil {
		return err
	}
	run := &script{}
	if ok {
		s.sent++
		if s.ownBlock && s.status == 'T' {
			run.block = true
			s.hiddenBlock, s.ownBlock, s.extended = false, false, false
		}
	}
	if !ok || s.extended || s.status == 'E' {
		// The server drops it (after an error, up to the Sync), or answers that
		// the transaction is aborted. A Query message in an extended-protocol
		// segment without a block of ours is left to the trigger.
		return s.sendQueries(sql)
	}
	for i, st := range statements {
		if err := s.runStatement(ctx, run, sql[st.Start:st.End], st, len(statements) > 1); err != nil {
			return err
		}
		if run.failed {
			break
		}
		if i < len(statements)-1 {
			s.releaseTag(run)
		}
	}
	if run.block {
		if err := s.endBlock(run); err != nil {
			return err
		}
	}
	s.releaseTag(run)
	if s.status == 'I' && len(s.pending) > 0 {
		s.out = append(s.out, s.settle(false)...)
	}
	s.ready++
	s.failed, s.ended = false, false
	s.tell(&pgproto3.ReadyForQuery{TxStatus: s.status})
	return nil
}

func (s *session) releaseTag(run *script) {
	s.out = append(s.out, run.tag...)
	run.tag = nil
}

// endBlock ends the block that stood for the implicit transaction. If the
// commit fails, the client gets that error in place of the last tag.
func (s *session) endBlock(run *script) error {
	run.block = false
	end := "COMMIT"
	if run.failed {
		end = "ROLLBACK"
	}
	replies, err := s.hiddenQueries(end)
	if err != nil {
		return err
	}
	if replies[0].err != nil {
		run.tag, run.failed = nil, true
		s.tellError(replies[0].err, 0)
	} else if replies[0].tag == "COMMIT" {
		s.settle(true)
	}
	return nil
}

// runStatement runs one statement of a script.
func (s *session) runStatement(ctx context.Context, run *script, text string, st sqlparse.Statement, several bool) error {
	if s.status == 'E' {
		return s.runPlain(run, text, st)
	}
	if run.block {
		switch st.Kind {
		case sqlparse.Begin:
			// The implicit transaction becomes the client's block, without a word.
			run.block = false
			return s.runQuiet(run, text, st, "25001")
		case sqlparse.Commit, sqlparse.Rollback:
			run.block = false
			s.tell(&pgproto3.NoticeResponse{
				Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "25P01", Message: "there is no transaction in progress",
			})
			return s.runPlain(run, text, st)
		case sqlparse.Savepoint, sqlparse.RollbackTo, sqlparse.Release:
			name := map[sqlparse.Kind]string{
				sqlparse.Savepoint: "SAVEPOINT", sqlparse.RollbackTo: "ROLLBACK TO SAVEPOINT", sqlparse.Release: "RELEASE SAVEPOINT",
			}[st.Kind]
			return s.simpleLane(run, text, st).fail(refusal("25P01", name+" can only be used in transaction blocks"))
		}
	}
	begin := s.status == 'I' && !st.Kind.Transaction() && (several || intercepts(st))
	if intercepts(st) {
		lane := s.simpleLane(run, text, st)
		lane.begin, lane.alone = begin, !several
		return s.writeThrough(ctx, lane, st)
	}
	if begin {
		if err := s.begin(run); err != nil || run.failed {
			return err
		}
	}
	return s.runPlain(run, text, st)
}

// begin opens the block that stands for the implicit transaction.
func (s *session) begin(run *script) error {
	replies, err := s.hiddenQueries("BEGIN")
	if err != nil {
		return err
	}
	if e := replies[0].err; e != nil {
		run.failed = true
		s.tellError(e, 0)
		return nil
	}
	run.block = true
	return nil
}

func (s *session) runPlain(run *script, text string, st sqlparse.Statement) error {
	return s.runQuiet(run, text, st, "")
}

// runQuiet runs a statement and relays its reply without ReadyForQuery and
// without notices of the given SQLSTATE.
func (s *session) runQuiet(run *script, text string, st sqlparse.Statement, quiet string) error {
	if err := s.sendQueries(text); err != nil {
		return err
	}
	return s.relayReply(run, st, quiet)
}

// relayReply relays the reply to one Query message, except for ReadyForQuery;
// the tag is held back in run.
func (s *session) relayReply(run *script, st sqlparse.Statement, quiet string) error {
	for {
		typ, size, err := s.next()
		if err != nil {
			return err
		}
		switch typ {
		case 'Z':
			msg, err := s.take(size)
			if err != nil {
				return err
			}
			s.status = msg[5]
			if len(s.pending) > 0 && s.ended {
				s.out = append(s.out, s.settle(false)...)
			}
			s.ended = false
			return nil
		case 'C':
			if run.tag, err = s.take(size); err != nil {
				return err
			}
			s.noteTag(run.tag)
		case 'E':
			e, err := s.takeError(size)
			if err != nil {
				return err
			}
			run.failed = true
			s.tellError(e, st.CharStart)
		case 'N':
			msg, err := s.take(size)
			if err != nil {
				return err
			}
			var notice pgproto3.NoticeResponse
			if quiet == "" || notice.Decode(msg[5:]) != nil || notice.Code != quiet {
				s.out = append(s.out, msg...)
			}
		case 'G':
			if err := s.relay(typ, size); err != nil {
				return err
			}
			if err := s.copyIn(); err != nil {
				return err
			}
		default:
			if err := s.relay(typ, size); err != nil {
				return err
			}
		}
	}
}

// copyIn passes the client's COPY data to the server, up to the message that
// ends it. What the server says of it is relayed afterwards. Anything that does
// not belong into copy-in, such as a Query, is the server's to refuse.
func (s *session) copyIn() error {
	s.flush()
	c := &s.down
	for {
		from := c.r
		typ, size, ok := c.nextHeader()
		if ok {
			c.hop(size)
		}
		if !s.toServer(c.buf[from:c.r]) || c.raw {
			return errServerGone
		}
		if ok && typ != 'd' && typ != 'H' && typ != 'S' {
			return s.restOfMessage()
		}
		if !ok {
			c.compact(0)
			if c.read() != nil {
				return errServerGone
			}
		}
	}
}

// restOfMessage passes the rest of the client's message under way to the server.
func (s *session) restOfMessage() error {
	c := &s.down
	for c.skip > 0 {
		c.compact(0)
		if c.read() != nil {
			return errServerGone
		}
		from := c.r
		c.hopOn()
		if !s.toServer(c.buf[from:c.r]) {
			return errServerGone
		}
	}
	return nil
}

// tellError relays an error. Positions count from the start of the client's
// text, of which the statement was cut out; where our own functions raised it,
// their names are no business of the client's.
func (s *session) tellError(e *serverError, charStart int) {
	s.failed = true
	if e.Position > 0 {
		e.Position += int32(charStart)
	}
	s.tell(&e.ErrorResponse)
}

// simpleLane is the way of an intercepted statement that came in a Query message.
type simpleLane struct {
	s     *session
	run   *script
	st    sqlparse.Statement
	text  string
	begin bool // a transaction block has to be opened first
	alone bool // it is the only statement of its message
}

func (s *session) simpleLane(run *script, text string, st sqlparse.Statement) *simpleLane {
	return &simpleLane{s: s, run: run, st: st, text: text}
}

func (l *simpleLane) queries(qs ...string) ([]reply, error) { return l.s.hiddenQueries(qs...) }

func (l *simpleLane) plan(setup string, rows *plannedRows) (failed bool, err error) {
	prefix := "SAVEPOINT " + planSavepoint + ";"
	if l.begin {
		prefix = "BEGIN;" + prefix
		l.begin, l.run.block = false, true
	}
	s := l.s
	if err := s.sendQueries(prefix+setup, l.text); err != nil {
		return false, err
	}
	var first reply
	if err := s.readHidden(&first); err != nil {
		return false, err
	}
	if len(first.row) > 1 {
		rows.limit = rowLimit(first.row[1])
	}
	e, err := s.readPlan(rows, 'Z')
	if err != nil {
		return false, err
	}
	if first.err != nil {
		e = first.err
	}
	if e != nil {
		l.run.failed = true
		s.tellError(e, l.st.CharStart)
		return true, nil
	}
	return false, nil
}

func (l *simpleLane) plain() (failed bool, err error) {
	if l.begin && !l.alone {
		if err := l.s.begin(l.run); err != nil || l.run.failed {
			return l.run.failed, err
		}
	}
	err = l.s.runPlain(l.run, l.text, l.st)
	return l.run.failed, err
}

func (l *simpleLane) apply(setup []string, finish string) (failed bool, err error) {
	s := l.s
	queries := append(setup, l.text, finish)
	if err := s.sendQueries(queries...); err != nil {
		return false, err
	}
	var broken *serverError
	for range setup {
		var r reply
		if err := s.readHidden(&r); err != nil {
			return false, err
		}
		if r.err != nil && broken == nil {
			broken = r.err
		}
	}
	if broken != nil {
		// The statement then found the transaction aborted, and so did finish.
		var dropped [2]reply
		for i := range dropped {
			if err := s.readHidden(&dropped[i]); err != nil {
				return false, err
			}
		}
	} else {
		if err := s.relayReply(l.run, l.st, ""); err != nil {
			return false, err
		}
		var end reply
		if err := s.readHidden(&end); err != nil {
			return false, err
		}
		if !l.run.failed {
			broken = end.err
		}
	}
	if broken != nil {
		l.run.failed, l.run.tag = true, nil
		broken.Where = ""
		s.tellError(broken, 0)
	}
	return l.run.failed, nil
}

func (l *simpleLane) fail(r *refused) error {
	replies, err := l.s.hiddenQueries(r.raise())
	if err != nil {
		return err
	}
	l.run.failed = true
	if e := replies[0].err; e != nil {
		e.Where = ""
		l.s.tellError(e, 0)
		return nil
	}
	return errServerGone // raise always fails
}

// rowLimit reads setting pghub.max_rows; anything but a positive number means
// the default.
func rowLimit(value []byte) int {
	if n, err := strconv.Atoi(string(value)); err == nil && n > 0 {
		return n
	}
	return defaultMaxRows
}
