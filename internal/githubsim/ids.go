package githubsim

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// First ids given out. All but those of users lie above 2^32, because GitHub's
// do or soon will, and a client that keeps them in 32 bits must fail here.
const (
	firstUserID       = 21_031_067
	firstRepositoryID = 4_301_296_269
	firstIssueID      = 4_400_817_301
	firstCommentID    = 4_610_220_117
	firstLabelID      = 9_011_204_551
	firstMilestoneID  = 4_312_004_801
	firstTypeID       = 4_295_011_907
)

// idSource hands out ids that rise by small uneven steps, as ids do that are
// shared with all other repositories.
type idSource struct{ last, salt int64 }

func (s *idSource) next() int64 {
	s.salt = (s.salt*1103515245 + 12345) & 0x7fffffff
	s.last += 1 + s.salt%17
	return s.last
}

// nodeID makes a global node id in GitHub's present form: a prefix that names
// the type, then base64 of a MessagePack array of 0 and the database ids.
func nodeID(prefix string, ids ...int64) string {
	b := []byte{0x90 | byte(len(ids)+1), 0}
	for _, id := range ids {
		if id < 1<<32 {
			b = append(b, 0xce)
			b = binary.BigEndian.AppendUint32(b, uint32(id))
		} else {
			b = append(b, 0xcf)
			b = binary.BigEndian.AppendUint64(b, uint64(id))
		}
	}
	return prefix + "_" + base64.RawURLEncoding.EncodeToString(b)
}

var errNodeID = errors.New("not a node id")

// parseNodeID returns the prefix and the last database id of a node id.
func parseNodeID(s string) (prefix string, id int64, err error) {
	prefix, enc, ok := strings.Cut(s, "_")
	if !ok {
		return "", 0, errNodeID
	}
	b, err := base64.RawURLEncoding.DecodeString(enc)
	if err != nil || len(b) < 7 || b[0]&0xf0 != 0x90 || b[1] != 0 {
		return "", 0, errNodeID
	}
	b = b[2:]
	for len(b) > 0 {
		switch {
		case b[0] == 0xce && len(b) >= 5:
			id, b = int64(binary.BigEndian.Uint32(b[1:])), b[5:]
		case b[0] == 0xcf && len(b) >= 9:
			id, b = int64(binary.BigEndian.Uint64(b[1:])), b[9:]
		default:
			return "", 0, errNodeID
		}
	}
	return prefix, id, nil
}
