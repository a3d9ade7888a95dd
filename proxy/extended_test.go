package proxy_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

// wire is a client that speaks message by message.
type wire struct {
	t    *testing.T
	conn net.Conn
	*pgproto3.Frontend
}

// wire opens a session as app. The embedded cluster asks for SCRAM, so pgx logs in and
// lends its connection.
func (b *bundle) wire() *wire {
	b.t.Helper()
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	hijacked, err := conn.PgConn().Hijack()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { hijacked.Conn.Close() })
	if deadline, ok := b.ctx.Deadline(); ok {
		hijacked.Conn.SetDeadline(deadline)
	}
	return &wire{b.t, hijacked.Conn, hijacked.Frontend}
}

// exchange sends messages in one write and returns the tags of all replies up
// to the n-th ReadyForQuery.
func (w *wire) exchange(n int, msgs ...pgproto3.FrontendMessage) string {
	w.t.Helper()
	for _, m := range msgs {
		w.Send(m)
	}
	if err := w.Flush(); err != nil {
		w.t.Fatal(err)
	}
	return w.replies(n)
}

func (w *wire) replies(n int) string {
	w.t.Helper()
	var out []string
	for n > 0 {
		msg, err := w.Receive()
		if err != nil {
			w.t.Fatalf("after %v: %v", out, err)
		}
		switch m := msg.(type) {
		case *pgproto3.ParseComplete:
			out = append(out, "1")
		case *pgproto3.BindComplete:
			out = append(out, "2")
		case *pgproto3.CloseComplete:
			out = append(out, "3")
		case *pgproto3.RowDescription:
			out = append(out, "T")
		case *pgproto3.ParameterDescription:
			out = append(out, "t")
		case *pgproto3.NoData:
			out = append(out, "n")
		case *pgproto3.DataRow:
			out = append(out, "D")
		case *pgproto3.PortalSuspended:
			out = append(out, "s")
		case *pgproto3.EmptyQueryResponse:
			out = append(out, "I")
		case *pgproto3.CommandComplete:
			out = append(out, "C("+string(m.CommandTag)+")")
		case *pgproto3.ErrorResponse:
			out = append(out, "E("+m.Code+")")
		case *pgproto3.NoticeResponse:
			out = append(out, "N("+m.Code+")")
		case *pgproto3.ReadyForQuery:
			out = append(out, "Z("+string(m.TxStatus)+")")
			n--
		default:
			out = append(out, fmt.Sprintf("%T", m))
		}
	}
	return strings.Join(out, " ")
}

func parse(name, sql string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: sql}
}
func bind(portal, stmt string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: stmt, ResultFormatCodes: []int16{1}}
}
func describe(kind byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Describe{ObjectType: kind, Name: name}
}
func execute(portal string, rows uint32) pgproto3.FrontendMessage {
	return &pgproto3.Execute{Portal: portal, MaxRows: rows}
}

var sync, flush pgproto3.FrontendMessage = &pgproto3.Sync{}, &pgproto3.Flush{}

func msgs(lists ...[]pgproto3.FrontendMessage) (all []pgproto3.FrontendMessage) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// run is Parse, Bind and Execute of one statement.
func run(sql string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{parse("", sql), bind("", ""), execute("", 0)}
}

// TestExtendedShapes intercepts inside pipelines and checks each reply: they are
// what the server gives for the same messages on an ordinary table.
func TestExtendedShapes(t *testing.T) {
	t.Parallel()
	end := []pgproto3.FrontendMessage{sync}
	for _, tc := range []struct {
		name  string
		msgs  func(b *bundle) []pgproto3.FrontendMessage
		ready int
		want  string
		count int // rows in public.notes afterwards
	}{
		{"write alone", func(b *bundle) []pgproto3.FrontendMessage { return msgs(run(b.insert("w1")), end) },
			1, "1 2 D C(INSERT 0 1) Z(I)", 0},
		{"describe first", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{parse("s", b.insert("w2")), describe('S', "s"), bind("p", "s"), describe('P', "p"), execute("p", 0), sync}
		}, 1, "1 t T 2 T D C(INSERT 0 1) Z(I)", 0},
		{"between other statements, one implicit transaction", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("INSERT INTO public.notes VALUES (1)"), run(b.insert("w3")), run("INSERT INTO public.notes VALUES (2)"), end)
		}, 1, "1 2 C(INSERT 0 1) 1 2 D C(INSERT 0 1) 1 2 C(INSERT 0 1) Z(I)", 2},
		{"a later error rolls the segment back", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("INSERT INTO public.notes VALUES (1)"), run(b.insert("w4")), run("SELECT 1/0"), run("INSERT INTO public.notes VALUES (2)"), end)
		}, 1, "1 2 C(INSERT 0 1) 1 2 D C(INSERT 0 1) 1 E(22012) N(01000) Z(I)", 0},
		{"an earlier error swallows the write", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("SELECT 1/0"), run(b.insert("never")), end)
		}, 1, "1 E(22012) Z(I)", 0},
		{"two segments, the first fails", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("SELECT 1/0"), end, run(b.insert("w5")), end)
		}, 2, "1 E(22012) Z(I) 1 2 D C(INSERT 0 1) Z(I)", 0},
		{"two writes in one segment", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run(b.insert("w6")), run(b.insert("w7")), end)
		}, 1, "1 2 D C(INSERT 0 1) 1 2 D C(INSERT 0 1) Z(I)", 0},
		{"refused by GitHub, rest of the segment swallowed", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("INSERT INTO public.notes VALUES (1)"), run(b.insert("")), run("INSERT INTO public.notes VALUES (2)"), end, run("SELECT 1"), end)
		}, 2, "1 2 C(INSERT 0 1) 1 2 E(23514) Z(I) 1 2 D C(SELECT 1) Z(I)", 0},
		{"in a block opened in the same segment", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("BEGIN"), run(b.insert("w8")), run("COMMIT"), end)
		}, 1, "1 2 C(BEGIN) 1 2 D C(INSERT 0 1) 1 2 C(COMMIT) Z(I)", 0},
		{"portal with a row limit", func(b *bundle) []pgproto3.FrontendMessage {
			n := b.numbers(3)
			return []pgproto3.FrontendMessage{
				parse("", fmt.Sprintf("UPDATE issue SET body = 'limited' WHERE repository_id = %d AND number IN (%d, %d, %d) RETURNING number", b.repo, n[0], n[1], n[2])),
				bind("p", ""), execute("p", 2), execute("p", 2), sync,
			}
		}, 1, "1 2 D D s D C(UPDATE 1) Z(I)", 0},
		{"portal executed twice", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{parse("", fmt.Sprintf("UPDATE issue SET body = 'twice' WHERE repository_id = %d AND number = %d", b.repo, b.numbers(1)[0])), bind("p", ""), execute("p", 0), execute("p", 0), sync}
		}, 1, "1 2 C(UPDATE 1) E(55000) N(01000) Z(I)", 0},
		{"statement replaced between Bind and Execute", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{parse("", b.insert("w9")), bind("p", ""), parse("", "SELECT 1"), execute("p", 0), sync}
		}, 1, "1 2 1 D C(INSERT 0 1) Z(I)", 0},
		{"portal that is gone", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{parse("", b.insert("never")), bind("p", ""), sync, execute("p", 0), sync}
		}, 2, "1 2 Z(I) E(34000) Z(I)", 0},
		{"parsed once, executed thrice", func(b *bundle) []pgproto3.FrontendMessage {
			one := []pgproto3.FrontendMessage{bind("", "s"), execute("", 0), sync}
			return msgs([]pgproto3.FrontendMessage{parse("s", b.insert("again"))}, one, one, one)
		}, 3, "1 2 D C(INSERT 0 1) Z(I) 2 D C(INSERT 0 1) Z(I) 2 D C(INSERT 0 1) Z(I)", 0},
		{"several Query messages in one write", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT 1"}, &pgproto3.Query{String: b.insert("q1")}, &pgproto3.Query{String: "selec"}, &pgproto3.Query{String: b.insert("q2")}, &pgproto3.Query{String: "SELECT 2"}}
		}, 5, "T D C(SELECT 1) Z(I) T D C(INSERT 0 1) Z(I) E(42601) Z(I) T D C(INSERT 0 1) Z(I) T D C(SELECT 1) Z(I)", 0},
		{"a Query in place of Sync", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run(b.insert("m1")), []pgproto3.FrontendMessage{&pgproto3.Query{String: "INSERT INTO public.notes VALUES (1); INSERT INTO public.notes VALUES (2)"}, &pgproto3.Query{String: "SELECT 1"}})
		}, 2, "1 2 D C(INSERT 0 1) C(INSERT 0 1) C(INSERT 0 1) Z(I) T D C(SELECT 1) Z(I)", 2},
		{"a failing Query in place of Sync", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("INSERT INTO public.notes VALUES (1)"), run(b.insert("m2")), []pgproto3.FrontendMessage{&pgproto3.Query{String: "selec"}, &pgproto3.Query{String: "SELECT 1"}})
		}, 2, "1 2 C(INSERT 0 1) 1 2 D C(INSERT 0 1) E(42601) N(01000) Z(I) T D C(SELECT 1) Z(I)", 0},
		{"COPY between writes in one Query", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{
				&pgproto3.Query{String: b.insert("y1") + "; COPY public.notes FROM STDIN; " + b.insert("y2")},
				&pgproto3.CopyData{Data: []byte("1\n2\n")}, &pgproto3.CopyData{Data: []byte(strings.Repeat("3\n", 20_000))}, &pgproto3.CopyDone{},
				&pgproto3.Query{String: "SELECT 1"},
			}
		}, 2, "T D C(INSERT 0 1) *pgproto3.CopyInResponse C(COPY 20002) T D C(INSERT 0 1) Z(I) T D C(SELECT 1) Z(I)", 20002},
		{"a refused COPY after a write in one Query", func(b *bundle) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{
				&pgproto3.Query{String: b.insert("y3") + "; COPY public.notes FROM STDIN"},
				&pgproto3.CopyData{Data: []byte("x\n")}, &pgproto3.CopyDone{}, &pgproto3.Query{String: "SELECT 1"},
			}
		}, 2, "T D C(INSERT 0 1) *pgproto3.CopyInResponse E(22P02) N(01000) Z(I) T D C(SELECT 1) Z(I)", 0},
		{"after COPY in the extended protocol", func(b *bundle) []pgproto3.FrontendMessage {
			return msgs(run("COPY public.notes FROM STDIN"), []pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte("7\n")}, &pgproto3.CopyDone{}, sync}, run(b.insert("c1")), end)
		}, 2, "1 2 *pgproto3.CopyInResponse C(COPY 1) Z(I) 1 2 D C(INSERT 0 1) Z(I)", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.adminExec(`CREATE TABLE public.notes (i int); GRANT ALL ON public.notes TO app`)
			w := b.wire()
			if got := w.exchange(tc.ready, tc.msgs(b)...); got != tc.want {
				t.Errorf("replies\n got %s\nwant %s", got, tc.want)
			}
			var count int
			conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
			if err := conn.QueryRow(b.ctx, "SELECT count(*) FROM public.notes").Scan(&count); err != nil || count != tc.count {
				t.Errorf("%d notes (%v), want %d", count, err, tc.count)
			}
			// The session goes on as if nothing had been.
			if got := w.exchange(1, &pgproto3.Query{String: "SELECT 1"}); got != "T D C(SELECT 1) Z(I)" {
				t.Errorf("afterwards: %s", got)
			}
			b.settled()
			for _, issue := range b.titles() {
				if issue == "never" {
					t.Error("a statement that the server dropped was sent to GitHub")
				}
			}
		})
	}
}

func (b *bundle) insert(title string) string {
	return fmt.Sprintf("INSERT INTO github.issue (repository_id, title) VALUES (%d, '%s') RETURNING id, number, created_at", b.repo, title)
}

func (b *bundle) titles() []string {
	b.t.Helper()
	rows, _ := b.pool.Query(b.ctx, "SELECT title FROM github.issue")
	titles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return titles
}

// TestFlushBeforeSync lets a client wait for the reply of an intercepted statement with
// Flush, as drivers do, before it ends the segment.
func TestFlushBeforeSync(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.wire()
	for _, m := range append(run(b.insert("flushed")), flush) {
		w.Send(m)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 4 { // ParseComplete, BindComplete, DataRow, CommandComplete
		if _, err := w.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.exchange(1, sync); got != "Z(I)" {
		t.Errorf("after Sync: %s", got)
	}
	b.settled()
}

// TestOpenTransactionDoesNotStopOthers holds a transaction with an accepted create and
// an update open while another session works.
func TestOpenTransactionDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.numbers(2)
	holder, _ := b.connect(pgx.QueryExecModeCacheStatement)
	tx, err := holder.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(b.ctx, "UPDATE issue SET title = 'held' WHERE repository_id = $1 AND number = $2", b.repo, n[0]); err != nil {
		t.Fatal(err)
	}
	other, _ := b.connect(pgx.QueryExecModeCacheStatement)
	if _, err := other.Exec(b.ctx, "UPDATE issue SET title = 'free' WHERE repository_id = $1 AND number = $2", b.repo, n[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(b.ctx, "SET lock_timeout = '50ms'"); err != nil {
		t.Fatal(err)
	}
	before := b.mutations()
	if _, err := other.Exec(b.ctx, "UPDATE issue SET title = 'clash' WHERE repository_id = $1 AND number = $2", b.repo, n[0]); sqlState(err) != "55P03" {
		t.Errorf("update of a held row: %v, want 55P03", err)
	}
	if b.mutations() != before {
		t.Error("GitHub was asked for a row that another transaction holds")
	}
	if err := tx.Commit(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.settled()
}

// TestShutdownAwaitsGitHub stops the proxy while GitHub works on a request: what was sent
// is not lost.
func TestShutdownAwaitsGitHub(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.numbers(1)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	b.sim.AddFault(githubsim.Fault{Method: "PATCH", Delay: 300 * time.Millisecond, Count: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn.Exec(context.WithoutCancel(b.ctx), fmt.Sprintf("UPDATE issue SET title = 'late' WHERE repository_id = %d AND number = %d", b.repo, n[0]))
	}()
	b.eventually("GitHub is asked", func() bool { return b.openEntries() == 1 })
	b.stop()
	<-done
	b.start()
	b.settled()
}

// TestOtherDatabase leaves sessions of other databases alone.
func TestOtherDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *githubsim.Config, _ *ghapi.Config) { s.Issues = 3 })
	dsn := b.dsn()
	i, j := strings.LastIndex(dsn, "/"), strings.LastIndex(dsn, "?")
	conn, _ := b.connectAs(dsn[:i]+"/postgres"+dsn[j:], pgx.QueryExecModeCacheStatement)
	var name string
	if err := conn.QueryRow(b.ctx, "SELECT current_database()").Scan(&name); err != nil || name != "postgres" {
		t.Errorf("database %q, %v", name, err)
	}
	if _, err := conn.Exec(b.ctx, "CREATE TEMP TABLE issue (title text)"); err != nil {
		t.Fatal(err)
	}
	if tag, err := conn.Exec(b.ctx, "INSERT INTO issue VALUES ('x')"); err != nil || tag.RowsAffected() != 1 {
		t.Errorf("%v, %v", tag, err)
	}
}

// dribble forwards connections to an address one byte at a time, both ways.
func dribble(t *testing.T, network, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	copyBytes := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		var b [1]byte
		for {
			if _, err := from.Read(b[:]); err != nil {
				return
			}
			if _, err := to.Write(b[:]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				return
			}
			go copyBytes(client, server)
			go copyBytes(server, client)
		}
	}()
	return listener.Addr().String()
}

// TestSplitReads runs intercepted and other statements over connections that deliver one byte at
// a time, on both sides of the proxy.
func TestSplitReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	b.through = func(databaseURL string) string {
		config, err := pgconn.ParseConfig(databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		network, address := pgconn.NetworkAddress(config.Host, config.Port)
		return "postgres://x@" + dribble(t, network, address) + "/" + config.Database
	}
	b.start()
	slow := dribble(t, "tcp", b.proxy.Addr().String())
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		conn, _ := b.connectAs(strings.Replace(b.dsn(), b.proxy.Addr().String(), slow, 1), mode)
		var number int64
		if err := conn.QueryRow(b.ctx, "INSERT INTO issue (repository_id, title) VALUES ($1, 'slowly') RETURNING number", b.repo).Scan(&number); err != nil {
			t.Fatal(err)
		}
		if got := b.issue(number); got["title"] != "slowly" {
			t.Errorf("GitHub has %v", got)
		}
		var count int
		if err := conn.QueryRow(b.ctx, "SELECT count(*) FROM issue WHERE title = 'slowly'").Scan(&count); err != nil || count == 0 {
			t.Errorf("%d, %v", count, err)
		}
		if _, err := conn.Exec(b.ctx, "UPDATE issue SET title = '' WHERE number = $1", number); sqlState(err) != "23514" {
			t.Errorf("an empty title: %v", err)
		}
	}
	b.settled()
}
