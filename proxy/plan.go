package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/writers"
)

// reportCode is the SQLSTATE of the trigger's reports.
const reportCode = "PH001"

// signer signs what the proxy tells the triggers, and checks what they report.
// The statement's own text can set settings and raise notices too: neither may
// be believed without a signature.
type signer struct{ key []byte }

func (g *signer) load(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pool.QueryRow(ctx, `SELECT key FROM pghub.signing_key`).Scan(&g.key); err != nil {
		return fmt.Errorf("reading the write-through signing key: %w", err)
	}
	return nil
}

func (g *signer) sign(message string) string {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

// planMode is the value of setting pghub.mode that makes the triggers of one
// server process report.
func (g *signer) planMode(nonce string, pid uint32) string {
	return fmt.Sprintf("plan:%s:%s", nonce, g.sign(fmt.Sprintf("plan:%s:%d", nonce, pid)))
}

// applyMode makes them apply answers, in one transaction.
func (g *signer) applyMode(nonce string, pid uint32, xid string) string {
	return fmt.Sprintf("apply:%s:%s", nonce, g.sign(fmt.Sprintf("apply:%s:%d:%s", nonce, pid, xid)))
}

// answer is the value of setting pghub.answer_N.
func (g *signer) answer(nonce string, ordinal int, body []byte) string {
	text := base64.StdEncoding.EncodeToString(body)
	return g.sign(nonce+":"+strconv.Itoa(ordinal)+":"+text) + ":" + text
}

// answer is what the trigger applies to one row. Row is null for a delete, and
// for a row that needed no change.
type answer struct {
	Table string          `json:"table"`
	Op    string          `json:"op"`
	ID    int64           `json:"id,omitempty"`
	Old   string          `json:"old,omitempty"`
	Row   json.RawMessage `json:"row"`
}

// change is one planned row change as the trigger reported it.
type change struct {
	writers.Change
	Op     string
	Digest string // of the row as it was
	id     int64
}

// plannedRows collects the trigger's reports. Beyond limit it only counts.
type plannedRows struct {
	signer  *signer
	nonce   string
	limit   int
	count   int
	changes []change
	err     *refused
}

func (p *plannedRows) add(message string) {
	signature, text, ok := strings.Cut(message, ":")
	if !ok || !hmac.Equal([]byte(signature), []byte(p.signer.sign("report:"+p.nonce+":"+text))) {
		return // somebody else's INFO
	}
	p.count++
	if p.count > p.limit {
		p.changes = nil
		return
	}
	body, err := base64.StdEncoding.DecodeString(text)
	var report struct {
		Table  string                     `json:"table"`
		Op     string                     `json:"op"`
		Old    map[string]json.RawMessage `json:"old"`
		New    map[string]json.RawMessage `json:"new"`
		Digest string                     `json:"digest"`
	}
	if err == nil {
		err = json.Unmarshal(body, &report)
	}
	c := change{
		Change: writers.Change{Table: report.Table, Op: writers.Op(report.Op), Old: report.Old, New: report.New},
		Op:     report.Op, Digest: report.Digest,
	}
	if err == nil && report.Op != "insert" {
		err = json.Unmarshal(report.Old["id"], &c.id)
	}
	if err != nil {
		p.err = refusal("XX000", "a report of the write-through trigger could not be read").detail("%v", err)
		return
	}
	if c.id != 0 {
		for _, other := range p.changes {
			if other.Table == c.Table && other.id == c.id && p.err == nil {
				p.err = refusal("0A000", fmt.Sprintf("this statement changes the same row of %q more than once", c.Table)).
					detail("Nothing was sent to GitHub. The row's id is %d.", c.id).
					hint("Change it once; set labels and assignees of an issue together, in its arrays.")
			}
		}
	}
	p.changes = append(p.changes, c)
}

// readPlan reads the reply of the statement that is being planned, up to the
// message of type end, and drops all of it but the reports and an error.
func (s *session) readPlan(rows *plannedRows, end byte) (*serverError, error) {
	var failure *serverError
	for {
		typ, size, err := s.next()
		if err != nil {
			return nil, err
		}
		switch typ {
		case 'N':
			if err := s.notePlanned(rows, size); err != nil {
				return nil, err
			}
		case 'E':
			if failure, err = s.takeError(size); err != nil {
				return nil, err
			}
			if end != 'Z' {
				return failure, nil
			}
		case end:
			msg, err := s.take(size)
			if err != nil {
				return nil, err
			}
			if typ == 'Z' {
				s.status = msg[5]
			}
			return failure, nil
		default:
			s.skipMessage(size)
		}
	}
}

// readPlanExtended is readPlan for an extended-protocol segment: it reads up to
// the reply of the closes-th Close message.
func (s *session) readPlanExtended(rows *plannedRows, closes int) (failure *serverError, err error) {
	for ; closes > 0 && failure == nil && err == nil; closes-- {
		failure, err = s.readPlan(rows, '3')
	}
	return failure, err
}

func (s *session) notePlanned(rows *plannedRows, size int) error {
	msg, err := s.take(size)
	if err != nil {
		return err
	}
	var notice pgproto3.NoticeResponse
	if notice.Decode(msg[5:]) == nil && notice.Code == reportCode {
		rows.add(notice.Message)
	}
	return nil
}
