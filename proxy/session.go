package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

var (
	errServerGone = errors.New("the server closed the connection")
	// longAgo as a read deadline wakes a blocked read.
	longAgo = time.Unix(1, 0)
)

// session is one client and its server connection.
//
// Two goroutines relay: relayClient (the one that runs serve) and relayServer.
// When a statement is intercepted, relayClient takes the server's side over
// (takeServer): relayServer parks, and whatever it owns may be used by
// relayClient until releaseServer. So the fields below need no locks.
type session struct {
	p      *Proxy
	client net.Conn
	server net.Conn
	key    string // BackendKeyData; set once, under p.mu

	mu           sync.Mutex
	intercepting bool
	ending       bool
	relaying     bool               // both goroutines run
	cancelAsk    context.CancelFunc // not nil while GitHub is asked

	// Owned by relayClient.
	down        pump
	sent        int  // messages sent that the server answers with ReadyForQuery
	extended    bool // extended-protocol messages went out since the last Sync
	lastExecute byte // the latest of Query and Execute: a COPY belongs to it
	statements  map[string]*statement
	portals     map[string]*portal
	hiddenBlock bool // we opened a transaction block in an extended-protocol segment; its Sync must end it

	// Owned by relayServer, or by relayClient while it holds the server's side.
	up       pump
	out      []byte // for the client, not yet written
	ready    int    // ReadyForQuery messages seen
	status   byte   // transaction status: that of the last ReadyForQuery, kept up with tags since
	failed   bool   // an error came since the last ReadyForQuery
	ended    bool   // a ROLLBACK, perhaps to a savepoint, was answered since the last ReadyForQuery
	ownBlock bool   // the transaction block is one that we opened in an extended-protocol segment
	pending  []accepted
	partial  bool // some of pending may have been rolled back to a savepoint
	lost     bool // the client cannot be written to any more

	backslash  atomic.Bool  // standard_conforming_strings is off
	readyNow   atomic.Int64 // ready, for relayClient while it does not hold the server's side
	kick       atomic.Bool  // relayServer is asked to park
	stop       atomic.Bool  // relayServer is asked to end the session
	parked     chan struct{}
	resume     chan struct{}
	serverDone chan struct{} // closed when relayServer has returned
}

func newSession(p *Proxy, client net.Conn) *session {
	return &session{
		p: p, client: client, sent: 1, status: 'I', // the first ReadyForQuery comes unasked
		statements: map[string]*statement{}, portals: map[string]*portal{},
		parked: make(chan struct{}), resume: make(chan struct{}), serverDone: make(chan struct{}),
	}
}

// serve runs the session to its end. A fault in it ends this session only.
func (s *session) serve(ctx context.Context) {
	defer s.client.Close()
	defer s.recoverFault()
	s.client.SetDeadline(time.Now().Add(s.p.cfg.StartupTimeout))
	packet, code, err := readStartup(s.client)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.p.log.Debug("start-up failed", "client", s.client.RemoteAddr(), "error", err)
		}
		return
	}
	s.client.SetDeadline(time.Time{})
	if code == cancelRequestCode {
		s.p.cancel(ctx, packet)
		return
	}
	server, err := s.p.dial(ctx)
	if err != nil {
		s.p.log.Warn("connecting to the database server failed", "error", err)
		refuseStartup(s.client, "08006", "pghub cannot reach the database server", "Check that the server runs, and pghub's --database-url.")
		return
	}
	defer server.Close()
	s.mu.Lock()
	s.server = server
	ending := s.ending
	s.mu.Unlock()
	if ending {
		return
	}
	if _, err := server.Write(packet); err != nil {
		return
	}
	database := startupParameter(packet, "database")
	if database == "" {
		database = startupParameter(packet, "user")
	}
	if s.p.cfg.Writer == nil || database != s.p.mirror || startupParameter(packet, "replication") != "" {
		relayRaw(s.client, server)
		return
	}
	s.down, s.up = newPump(s.client), newPump(server)
	s.mu.Lock()
	s.relaying = true
	ending = s.ending
	s.mu.Unlock()
	if ending {
		s.toClient(farewell())
		return
	}
	go s.relayServer()
	s.relayClient(ctx)
	// The client is done: the server reads its end and closes.
	close(s.resume) // a fault may have left relayServer parked
	closeWrite(server)
	<-s.serverDone
	s.leavePending()
}

// recoverFault is the last resort against a fault of our own: it must not take
// other sessions with it.
func (s *session) recoverFault() {
	if fault := recover(); fault != nil {
		s.p.log.Error("a session ended by a fault of pghub's own", "fault", fault, "stack", string(debug.Stack()))
		s.closeBoth()
	}
}

// shutdown ends the session as a server that is stopped does: with a FATAL
// error, at the end of the message under way; or when the statement that
// GitHub works on is done.
func (s *session) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	switch {
	case s.intercepting:
		if s.cancelAsk != nil {
			s.cancelAsk()
		}
	case s.relaying:
		s.stop.Store(true)
		s.server.SetReadDeadline(longAgo)                  // relayServer does the rest,
		s.client.SetWriteDeadline(time.Now().Add(goodbye)) // if need be without the client
	default:
		s.closeBoth()
	}
}

// goodbye is how long a client has to take what it is owed at a shutdown.
const goodbye = 5 * time.Second

// farewell is the error a client gets at a shutdown (PostgreSQL documentation,
// Appendix A: admin_shutdown).
func farewell() []byte {
	msg, err := (&pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01",
		Message: "terminating connection: pghub is being stopped", Hint: "Connect again when it is back.",
	}).Encode(nil)
	if err != nil {
		return nil
	}
	return msg
}

func (s *session) closeBoth() {
	s.client.Close()
	if s.server != nil {
		s.server.Close()
	}
}

// cancelAsking cancels the session's work on GitHub; it returns false when
// there is none.
func (s *session) cancelAsking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelAsk == nil {
		return false
	}
	s.cancelAsk()
	return true
}

// inspect returns what is to be done for a client message that is not simply
// passed on, or nil.
func (s *session) inspect(typ byte, msg []byte) func(context.Context) error {
	switch typ {
	case 'Q':
		return s.inspectQuery(msg)
	case 'P':
		s.noteParse(msg)
	case 'B':
		s.noteBind(msg)
	case 'C':
		s.noteClose(msg)
	case 'E':
		return s.inspectExecute(msg)
	case 'S':
		return s.syncHiddenBlock
	}
	return nil
}

// intercept runs work while this goroutine holds the server's side. An error
// means that the session is over.
func (s *session) intercept(ctx context.Context, work func(context.Context) error) error {
	s.mu.Lock()
	if s.ending {
		s.mu.Unlock()
		return errServerGone
	}
	s.intercepting = true
	s.mu.Unlock()
	err := s.takeServer()
	if err == nil {
		err = s.finishMessage()
		if err == nil {
			err = work(ctx)
		}
		s.flush()
		s.releaseServer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercepting = false
	if s.ending || s.lost || err != nil {
		if s.ending && !s.lost && err == nil {
			s.client.SetWriteDeadline(time.Now().Add(goodbye))
			s.toClient(farewell())
		}
		s.closeBoth()
		return errServerGone
	}
	return nil
}
