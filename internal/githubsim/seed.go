package githubsim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// The span of the generated data. It does not depend on the clock, so that equal
// seeds give equal data.
var (
	seedFrom = time.Date(2021, 2, 1, 8, 0, 0, 0, time.UTC).Unix()
	seedTo   = time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC).Unix()
)

// Shares of the generated data.
const (
	pullsPerIssue    = 0.15
	commentsPerIssue = 2
)

// seeder generates data from one stream of random numbers.
type seeder struct {
	*rand.Rand
	s      *Server
	org    *user
	people []*user
	bot    *user
}

// tokenFromSeed makes a token in GitHub's form that depends on seed and name only.
func tokenFromSeed(seed int64, name string) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, name))
	out := []byte("ghp_")
	for k := range 36 {
		out = append(out, alphabet[int(sum[k%32]^byte(k*7))%len(alphabet)])
	}
	return string(out)
}

// seed fills the store: the first user always, the rest as Config says.
func (s *Server) seed() {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s.cfg.Seed))
	g := &seeder{
		Rand: rand.New(rand.NewPCG(binary.LittleEndian.Uint64(b[:8]), 0x5eed)),
		s:    s,
	}
	g.accounts()
	s.admin = g.people[0]
	s.store.tokens[s.token] = &token{value: s.token, user: s.admin}
	weights := make([]float64, s.cfg.Repos)
	total := 0.0
	for k := range weights {
		weights[k] = 1 / float64(k+1.0)
		total += weights[k]
	}
	left := s.cfg.Issues
	for k := range weights {
		n := int(float64(s.cfg.Issues) * weights[k] / total)
		if k == len(weights)-1 {
			n = left
		}
		left -= n
		g.repository(k, n)
	}
}

func (g *seeder) accounts() {
	add := func(login, name, kind, bio string) *user {
		u := &user{
			id: g.s.store.userIDs.next() + g.Int64N(900_000), login: login, name: name, kind: kind, bio: bio,
			created: seedFrom - g.Int64N(86400*2500) - 86400,
		}
		if kind == "User" && g.IntN(2) == 0 {
			u.location = pick(g, places)
		}
		g.s.store.userIDs.last = u.id
		g.s.store.addUser(u)
		return u
	}
	for _, p := range people {
		g.people = append(g.people, add(p.login, p.name, "User", pick(g, bios)))
	}
	g.bot = add("dependabot[bot]", "", "Bot", "")
	g.org = add("orbital-labs", "Orbital Labs", "Organization", "Software for small satellites 🛰️")
	g.org.members = map[*user]bool{}
	for _, u := range g.people[:5] {
		g.org.members[u] = true
	}
	for _, t := range issueTypes {
		g.org.types = append(g.org.types, &issueType{
			id: g.s.store.typeIDs.next(), name: t.name, description: t.description, color: t.color, created: seedFrom,
		})
	}
}

func pick[T any](g *seeder, from []T) T { return from[g.IntN(len(from))] }

// repository generates the k-th repository with n issues.
func (g *seeder) repository(k, n int) {
	p := projects[k%len(projects)]
	name := p.name
	if k >= len(projects) {
		name = fmt.Sprintf("%s-%d", p.name, k/len(projects)+1)
	}
	owner := g.org
	if k%3 == 2 {
		owner = g.people[0]
	}
	r := newRepository(g.s.store.repoIDs.next(), owner, name)
	r.description, r.language, r.topics = p.description, p.language, p.topics
	r.created = seedFrom + g.Int64N(86400*30)
	r.updated = seedTo - g.Int64N(86400*5)
	r.pushed = seedTo - g.Int64N(86400*2)
	r.stars, r.forks, r.size = 40+g.Int64N(4000), 3+g.Int64N(300), 500+g.Int64N(90_000)
	for j, u := range g.people {
		switch {
		case j == 0:
			r.perms[u] = Admin
		case j < 4:
			r.perms[u] = Push
		case j < 6:
			r.perms[u] = Read
		case j < 9:
			r.contributors[u] = true
		}
	}
	g.s.store.addRepository(r)
	g.s.standardLabels(r)
	for _, l := range projectLabels {
		text := l.description
		r.putLabel(&label{id: g.s.store.labelIDs.next(), name: l.name, color: l.color, description: &text})
	}
	g.milestones(r)
	g.issues(r, n)
}

// standardLabels gives r the labels that GitHub gives every new repository.
func (s *Server) standardLabels(r *repository) {
	for _, l := range standardLabels {
		text := l.description
		r.putLabel(&label{id: s.store.labelIDs.next(), name: l.name, color: l.color, description: &text, standard: true})
	}
}

func (g *seeder) milestones(r *repository) {
	for k, v := range []string{"v0.9", "v1.0", "v1.1", "v1.2", "v2.0", "Backlog 🧊"} {
		m := &milestone{
			id: g.s.store.milestoneIDs.next(), number: int64(k + 1), title: v, state: "open", creator: g.people[g.IntN(4)],
			created: r.created + int64(k)*86400*200, due: 0,
		}
		m.updated = m.created + 86400*20
		if k < 5 {
			text := fmt.Sprintf("Everything that has to be done before %s is tagged.", v)
			m.description = &text
			m.due = (m.created/86400+300)*86400 + 7*3600
		}
		if k < 3 {
			m.state, m.closed = "closed", m.created+86400*280
			m.updated = m.closed
		}
		r.milestones = append(r.milestones, m)
	}
}
