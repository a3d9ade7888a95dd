package proxy

import (
	"hash/maphash"
	"sync"

	"github.com/pghub/pghub/schema"
)

// maxStored bounds storedRows; beyond it, it starts anew.
const maxStored = 10_000

// storedRows remembers which accounts, labels and milestones this proxy has
// seen in GitHub's answers and stored: the same few come with every answer, and
// need not be merged into the mirror each time. The zero value is empty.
type storedRows struct {
	mu   sync.Mutex
	seed maphash.Seed
	rows map[storedRow]uint64 // content
}

type storedRow struct {
	table *schema.Table
	id    int64
}

// unknown returns the rows that were not stored with this content before.
func (m *storedRows) unknown(rows []schema.Row) (news []schema.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range rows {
		if sum, ok := m.sum(row); ok {
			if known, found := m.rows[storedRow{row.Table, row.ID()}]; found && known == sum {
				continue
			}
		}
		news = append(news, row)
	}
	return news
}

// add remembers rows that are now in the mirror.
func (m *storedRows) add(rows []schema.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range rows {
		sum, ok := m.sum(row)
		if !ok {
			continue
		}
		if len(m.rows) >= maxStored {
			clear(m.rows)
		}
		m.rows[storedRow{row.Table, row.ID()}] = sum
	}
}

func (m *storedRows) sum(row schema.Row) (uint64, bool) {
	if m.rows == nil {
		m.rows, m.seed = map[storedRow]uint64{}, maphash.MakeSeed()
	}
	text, err := row.JSON()
	return maphash.Bytes(m.seed, text), err == nil
}
