package proxy

import (
	"bytes"
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

// silence is how long the server may take to go on after an error that does
// not concern what was sent last.
const silence = 3 * time.Second

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
	defer func() {
		if fault := recover(); fault != nil {
			s.p.log.Error("a session ended by a fault of pghub's own", "fault", fault, "stack", string(debug.Stack()))
		}
	}()
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
	go s.relayServer()
	s.relayClient(ctx)
	// The client is done: the server reads its end and closes.
	closeWrite(server)
	<-s.serverDone
	s.settleLost()
}

// relayRaw passes bytes both ways until both directions have ended.
func relayRaw(client, server net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(client, server)
		client.Close()
	}()
	io.Copy(server, client)
	closeWrite(server)
	<-done
}

// closeWrite passes a half-close on.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	conn.Close()
}

// shutdown ends the session: at once, or when the statement under way on
// GitHub is done.
func (s *session) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	if s.intercepting {
		if s.cancelAsk != nil {
			s.cancelAsk()
		}
		return
	}
	s.closeBoth()
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

// relayClient passes the client's messages to the server, and handles those
// that may have to go to GitHub, until the client or the server is gone.
func (s *session) relayClient(ctx context.Context) {
	c := &s.down
	for {
		start, need := c.r, 0
		for c.r < c.w {
			if c.raw {
				c.r = c.w
				break
			}
			if c.skip > 0 {
				c.hopOn()
				continue
			}
			typ, size, ok := c.header()
			if !ok {
				if c.raw {
					continue
				}
				break
			}
			if !s.looksAt(typ, size) {
				s.noteClient(typ)
				c.hop(size)
				continue
			}
			if !c.has(size) {
				need = size
				break
			}
			msg := c.buf[c.r : c.r+size]
			work := s.inspect(typ, msg)
			if work == nil {
				s.noteClient(typ)
				c.r += size
				continue
			}
			if !s.toServer(c.buf[start:c.r]) {
				return
			}
			c.r += size
			if err := s.intercept(ctx, work); err != nil {
				return
			}
			start = c.r
		}
		if !s.toServer(c.buf[start:c.r]) {
			return
		}
		c.compact(need)
		if err := c.read(); err != nil {
			return
		}
	}
}

// toServer writes b. False means that the server is gone; relayServer knows why.
func (s *session) toServer(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_, err := s.server.Write(b)
	return err == nil
}

// looksAt reports whether a client message has to be seen whole.
func (s *session) looksAt(typ byte, size int) bool {
	switch typ {
	case 'Q', 'P':
		return size <= maxHold
	case 'B', 'E', 'C':
		return size <= maxHold && len(s.statements)+len(s.portals) > 0
	case 'S':
		return s.hiddenBlock
	}
	return false
}

// noteClient keeps count of a client message that is passed on.
func (s *session) noteClient(typ byte) {
	switch typ {
	case 'Q', 'F':
		s.sent++
		s.lastExecute = typ
	case 'S':
		s.sent++
		s.extended = false
	case 'P', 'B', 'D', 'C':
		s.extended = true
	case 'E':
		s.extended = true
		s.lastExecute = typ
	case 'c', 'f':
		// A Sync that the server met while it was copying in was ignored
		// (PostgreSQL documentation, 55.2.6 COPY Operations).
		if s.lastExecute == 'E' {
			s.sent = int(s.readyNow.Load())
		}
	}
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
		s.closeBoth()
		return errServerGone
	}
	return nil
}

// takeServer parks relayServer.
func (s *session) takeServer() error {
	s.kick.Store(true)
	defer s.kick.Store(false)
	s.server.SetReadDeadline(longAgo)
	select {
	case <-s.parked:
		s.server.SetReadDeadline(time.Time{})
		return nil
	case <-s.serverDone:
		return errServerGone
	}
}

func (s *session) releaseServer() {
	s.readyNow.Store(int64(s.ready))
	s.resume <- struct{}{}
}

// relayServer passes the server's messages to the client until either is gone.
func (s *session) relayServer() {
	defer close(s.serverDone)
	u := &s.up
	for {
		need := 0
		start := u.r
		for u.r < u.w && need == 0 {
			if u.raw {
				u.r = u.w
				break
			}
			if u.skip > 0 {
				u.hopOn()
				continue
			}
			typ, size, ok := u.header()
			if !ok {
				if u.raw {
					continue
				}
				break
			}
			if !seesWhole(typ, size) {
				s.noteServer(typ, nil)
				u.hop(size)
				continue
			}
			if !u.has(size) {
				need = size
				break
			}
			if notice := s.noteServer(typ, u.buf[u.r:u.r+size]); notice != nil {
				if !s.toClient(u.buf[start:u.r]) || !s.toClient(notice) {
					s.closeBoth()
					return
				}
				start = u.r
			}
			u.r += size
		}
		s.readyNow.Store(int64(s.ready))
		if !s.toClient(u.buf[start:u.r]) {
			// A client that is gone: let the server notice, as it would without us.
			s.closeBoth()
			return
		}
		u.compact(need)
		if s.kick.Load() {
			s.parked <- struct{}{}
			<-s.resume
			continue
		}
		if err := u.read(); err != nil {
			if isTimeout(err) && s.kick.Load() {
				continue
			}
			s.client.Close()
			return
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (s *session) toClient(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_, err := s.client.Write(b)
	return err == nil
}

// seesWhole reports whether noteServer needs the body of a message: those that
// tell about the transaction, and the cancel key.
func seesWhole(typ byte, size int) bool {
	switch typ {
	case 'Z':
		return size == 6
	case 'C':
		return size <= 128
	case 'K', 'S':
		return size <= 512
	}
	return false
}

// noteServer keeps track of a message from the server that the client gets. It
// returns a notice that the client has to get before it, or nil.
func (s *session) noteServer(typ byte, msg []byte) []byte {
	switch typ {
	case 'E':
		s.failed = true
	case 'C':
		s.noteTag(msg)
	case 'S':
		if value, ok := bytes.CutPrefix(msg[min(5, len(msg)):], []byte("standard_conforming_strings\x00")); ok {
			s.backslash.Store(string(value) == "off\x00")
		}
	case 'K':
		if msg != nil && s.key == "" {
			s.p.remember(string(msg[5:]), s)
		}
	case 'Z':
		s.ready++
		if msg == nil {
			return nil
		}
		s.status = msg[5]
		var notice []byte
		if len(s.pending) > 0 && (s.status == 'I' || s.status == 'T' && s.ended) {
			notice = s.settle(false)
		}
		s.failed, s.ended = false, false
		return notice
	}
	return nil
}

// noteTag follows the transaction by the tags of CommandComplete: a COMMIT tag
// comes after the commit, and only if it succeeded.
func (s *session) noteTag(msg []byte) {
	if len(msg) < 6 {
		return
	}
	switch tag := string(msg[5 : len(msg)-1]); tag {
	case "BEGIN", "START TRANSACTION":
		s.status, s.ownBlock = 'T', false // a block of ours is the client's now
	case "COMMIT":
		s.status = 'I'
		s.settle(true)
	case "PREPARE TRANSACTION":
		// Its fate is decided later: the repair loop sees it then.
		s.status = 'I'
		s.leavePending()
	case "ROLLBACK":
		// Also the tag of ROLLBACK TO SAVEPOINT: the next ReadyForQuery tells.
		s.ended = true
	}
}

// drainBefore relays what the server still owes for messages sent before, so
// that the next thing it says answers us. It returns false when a message of
// the current extended-protocol segment has failed: the server then drops
// everything up to the Sync, our messages too.
func (s *session) drainBefore() (ok bool, err error) {
	if s.ready == s.sent && !s.extended {
		return true, nil
	}
	if s.extended && s.failed && s.ready == s.sent {
		return false, nil
	}
	marker := "pghub " + nonce()
	msgs := []pgproto3.FrontendMessage{
		&pgproto3.Parse{Name: hiddenName, Query: "SELECT '" + marker + "'"},
		&pgproto3.Bind{DestinationPortal: hiddenName, PreparedStatement: hiddenName},
		&pgproto3.Execute{Portal: hiddenName},
		&pgproto3.Close{ObjectType: 'P', Name: hiddenName},
		&pgproto3.Close{ObjectType: 'S', Name: hiddenName},
	}
	if s.extended {
		msgs = append(msgs, &pgproto3.Flush{})
	} else {
		msgs = append(msgs, &pgproto3.Sync{})
	}
	if err := s.send(msgs...); err != nil {
		return false, err
	}
	// Our own ParseComplete and BindComplete look like the client's: they are
	// known by the row that follows them.
	held := 0
	suspect := false
	for {
		typ, size, err := s.next()
		if err != nil {
			if suspect && !s.up.raw && isTimeout(s.up.err) {
				s.server.SetReadDeadline(time.Time{})
				s.sent = s.ready
				return false, nil
			}
			return false, err
		}
		if typ == '1' && held == 0 || typ == '2' && held == 1 {
			held++
			s.skipMessage(size)
			continue
		}
		if typ == 'D' && held == 2 {
			msg, err := s.up.message(size)
			if err == nil && len(msg) == 11+len(marker) && string(msg[11:]) == marker {
				s.skipMessage(size)
				break
			}
		}
		s.out = append(s.out, "1\x00\x00\x00\x042\x00\x00\x00\x04"[:5*held]...)
		held = 0
		if typ == '1' {
			held = 1
			s.skipMessage(size)
			continue
		}
		if typ == 'E' && !s.extended && s.ready == s.sent {
			break // ours: the transaction is aborted, and takes no statement
		}
		if err := s.relay(typ, size); err != nil {
			return false, err
		}
		switch {
		case typ == 'E' && s.extended && s.ready == s.sent:
			return false, nil
		case typ == 'E' && s.extended:
			// Of an earlier segment, whose ReadyForQuery then follows at once; or
			// of this one, and the count is off because the server dropped a Query
			// or a Sync. Silence means the latter.
			suspect = true
			s.server.SetReadDeadline(time.Now().Add(silence))
		case typ == 'Z' && suspect:
			suspect = false
			s.server.SetReadDeadline(time.Time{})
		}
	}
	if suspect {
		s.server.SetReadDeadline(time.Time{})
	}
	for left := 2; left > 0; {
		typ, size, err := s.next()
		if err != nil {
			return false, err
		}
		if typ == '3' && s.extended {
			left--
		}
		if typ == 'Z' {
			left = 0
			msg, err := s.up.message(size)
			if err != nil {
				return false, err
			}
			s.status = msg[5]
			s.failed, s.ended = false, false
		}
		s.skipMessage(size)
	}
	if !s.extended {
		s.ready = s.sent
	}
	return true, nil
}
