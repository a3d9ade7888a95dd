package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

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

// relayClient passes the client's messages to the server, and handles those
// that may have to go to GitHub, until the client or the server is gone.
func (s *session) relayClient(ctx context.Context) {
	defer s.recoverFault()
	c := &s.down
	for {
		start, need := c.r, 0
		for {
			typ, size, ok := c.nextHeader()
			if !ok {
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
	defer s.recoverFault()
	u := &s.up
	for {
		need := 0
		start := u.r
		for {
			typ, size, ok := u.nextHeader()
			if !ok {
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
			if isTimeout(err) && s.stop.Load() {
				if u.skip == 0 {
					s.toClient(farewell())
				}
				s.server.Close()
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
