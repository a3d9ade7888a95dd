package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Request codes that take the place of a protocol version in the first packet
// (PostgreSQL documentation, 55.7 Message Formats).
const (
	cancelRequestCode = 80877102
	sslRequestCode    = 80877103
	gssEncRequestCode = 80877104
	// maxStartupPacket is the server's own limit (MAX_STARTUP_PACKET_LENGTH).
	maxStartupPacket = 10000
)

// readStartup answers encryption requests with "no" and returns the first
// real packet, whole. It reads not a byte beyond it: what follows belongs to
// whoever continues (CVE-2021-23214).
func readStartup(conn net.Conn) (packet []byte, code uint32, err error) {
	for range 4 { // one GSSENCRequest, one SSLRequest, then the real packet
		var head [8]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, 0, err
		}
		size := binary.BigEndian.Uint32(head[:4])
		code := binary.BigEndian.Uint32(head[4:])
		if size < 8 || size > maxStartupPacket {
			return nil, 0, fmt.Errorf("invalid length of startup packet: %d bytes", size)
		}
		if size == 8 && (code == sslRequestCode || code == gssEncRequestCode) {
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, 0, err
			}
			continue
		}
		packet := make([]byte, size)
		copy(packet, head[:])
		if _, err := io.ReadFull(conn, packet[8:]); err != nil {
			return nil, 0, err
		}
		return packet, code, nil
	}
	return nil, 0, fmt.Errorf("too many encryption requests")
}

// startupParameter returns the last value of a start-up parameter, as the
// server would take it.
func startupParameter(packet []byte, name string) (value string) {
	rest := packet[8:]
	for {
		key, tail, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(key) == 0 {
			return value
		}
		val, next, ok := bytes.Cut(tail, []byte{0})
		if !ok {
			return value
		}
		if string(key) == name {
			value = string(val)
		}
		rest = next
	}
}

// refuseStartup tells a client that has not logged in why it cannot.
func refuseStartup(conn net.Conn, code, message, hint string) {
	msg, err := (&pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message, Hint: hint,
	}).Encode(nil)
	if err == nil {
		conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		conn.Write(msg)
	}
}

// cancel passes a cancel request on, unless the session it is for is waiting
// for GitHub: then the server is idle, and the request would hit nothing, or
// the next statement.
func (p *Proxy) cancel(ctx context.Context, packet []byte) {
	p.mu.Lock()
	s := p.keys[string(packet[8:])]
	p.mu.Unlock()
	if s != nil && s.cancelAsking() {
		return
	}
	server, err := p.dial(ctx)
	if err != nil {
		p.log.Warn("passing on a cancel request failed", "error", err)
		return
	}
	defer server.Close()
	server.SetDeadline(time.Now().Add(p.cfg.DialTimeout))
	if _, err := server.Write(packet); err == nil {
		// The server closes once it has sent the signal; libpq waits for that.
		io.Copy(io.Discard, server)
	}
}
