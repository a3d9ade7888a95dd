package githubsim

import (
	"fmt"
	"slices"
	"strings"
)

// issues generates n issues and the pull requests among them. The sorted lists
// are built once at the end: inserting one by one would move half of each list
// every time.
func (g *seeder) issues(r *repository, n int) {
	if n == 0 {
		return
	}
	pulls := int(float64(n) * pullsPerIssue)
	isPull := make([]bool, n+pulls)
	for k := range pulls {
		isPull[k] = true
	}
	g.Shuffle(len(isPull), func(a, b int) { isPull[a], isPull[b] = isPull[b], isPull[a] })
	times := make([]int64, len(isPull))
	for k := range times {
		times[k] = r.created + g.Int64N(seedTo-r.created)
	}
	slices.Sort(times)
	var issues []*issue
	var comments []*comment
	for k, at := range times {
		i := g.issue(r, at, isPull[k])
		i.number = int64(k + 1)
		r.slots = append(r.slots, slot{issue: i})
		g.s.store.issuesByID[i.id] = i
		if i.state == "open" {
			r.open++
		}
		if i.milestone != nil {
			i.milestone.count(i.state, 1)
		}
		issues = append(issues, i)
		comments = append(comments, g.comments(i)...)
	}
	r.byCreated.load(issues)
	r.byUpdated.load(issues)
	r.byComments.load(issues)
	r.commentsByCreated.load(comments)
	r.commentsByUpdated.load(comments)
}

func (g *seeder) issue(r *repository, at int64, isPull bool) *issue {
	i := &issue{id: g.s.store.issueIDs.next(), repo: r, created: at, updated: at, state: "open"}
	kind := pick(g, subjects)
	part := pick(g, r.parts())
	i.title = fmt.Sprintf(pick(g, kind.titles), part)
	if g.IntN(12) == 0 {
		i.title = pick(g, []string{"🐛 ", "✨ ", "🚀 ", "[RFC] ", "日本語: "}) + i.title
	}
	if g.IntN(15) != 0 {
		body := g.body(kind, part)
		i.body = &body
	}
	switch {
	case isPull && g.IntN(3) == 0:
		i.user = g.bot
		i.title = fmt.Sprintf("Bump %s from 1.%d.%d to 1.%d.0", part, g.IntN(9), g.IntN(9), 10+g.IntN(9))
	case g.IntN(40) == 0:
		i.user = nil // the account was deleted since
	default:
		i.user = pick(g, g.people)
	}
	g.marks(r, i, kind)
	if isPull {
		i.pull = &pullRequest{draft: g.IntN(8) == 0}
	} else if len(r.owner.types) > 0 && g.IntN(3) == 0 {
		i.kind = pick(g, r.owner.types)
	}
	g.outcome(i)
	return i
}

// marks gives an issue labels, assignees and a milestone.
func (g *seeder) marks(r *repository, i *issue, kind subject) {
	i.labels = append(i.labels, r.label(kind.label))
	for range g.IntN(3) {
		i.labels = append(i.labels, r.label(pick(g, projectLabels).name))
	}
	if g.IntN(9) == 0 {
		i.labels = append(i.labels, r.label("good first issue"))
	}
	if g.IntN(8) == 0 {
		i.labels = nil
	}
	i.labels = sortLabels(i.labels)
	for range max(0, g.IntN(5)-2) {
		if u := g.people[g.IntN(6)]; !slices.Contains(i.assignees, u) {
			i.assignees = append(i.assignees, u)
		}
	}
	if g.IntN(3) == 0 {
		i.milestone = pick(g, r.milestones)
	}
	if g.IntN(6) == 0 {
		i.reactions[g.IntN(8)] = 1 + g.Int64N(24)
	}
}

// outcome closes most of the older issues, and locks some.
func (g *seeder) outcome(i *issue) {
	age := float64(seedTo-i.created) / float64(seedTo-seedFrom)
	if g.Float64() > 0.25+0.6*age {
		return
	}
	i.state, i.closedBy = "closed", g.people[g.IntN(4)]
	i.closed = min(i.created+3600+g.Int64N(86400*120), seedTo)
	i.updated = i.closed
	if i.pull != nil {
		if g.IntN(5) != 0 {
			i.pull.merged, i.pull.draft = i.closed, false
		}
		return
	}
	i.reason = pick(g, []string{"completed", "completed", "completed", "not_planned", "duplicate"})
	if g.IntN(25) == 0 {
		i.locked, i.lockReason = true, pick(g, append([]string{""}, lockReasons...))
	}
}

func (g *seeder) comments(i *issue) []*comment {
	n := g.IntN(2*commentsPerIssue + 1)
	if g.IntN(50) == 0 {
		n += 5 + g.IntN(30)
	}
	if n == 0 {
		return nil
	}
	at := i.created
	out := make([]*comment, 0, n)
	for range n {
		at = min(at+600+g.Int64N(86400*6), seedTo)
		m := &comment{id: g.s.store.commentIDs.next(), issue: i, user: pick(g, g.people), created: at, updated: at}
		if g.IntN(60) == 0 {
			m.user = nil
		}
		m.body = pick(g, remarks)
		if g.IntN(3) == 0 {
			m.body += "\n\n" + pick(g, remarks)
		}
		if g.IntN(10) == 0 {
			m.updated = min(at+300+g.Int64N(86400), seedTo)
		}
		if g.IntN(7) == 0 {
			m.reactions[g.IntN(8)] = 1 + g.Int64N(9)
		}
		g.s.store.comments[m.id] = m
		out = append(out, m)
	}
	i.comments = out
	i.updated = max(i.updated, at)
	return out
}

// body writes a believable description of a few paragraphs.
func (g *seeder) body(kind subject, part string) string {
	var b strings.Builder
	fmt.Fprintf(&b, pick(g, kind.openings), part)
	for range 1 + g.IntN(3) {
		b.WriteString("\n\n")
		b.WriteString(pick(g, paragraphs))
	}
	if kind.label == "bug" && g.IntN(2) == 0 {
		fmt.Fprintf(&b, "\n\n```\n%s\n```\n\n### Steps\n1. Start with a clean checkout\n2. Run `make %s`\n3. Wait about %d seconds", pick(g, traces), part, 2+g.IntN(90))
	}
	if g.IntN(4) == 0 {
		fmt.Fprintf(&b, "\n\ncc @%s", pick(g, g.people).login)
	}
	return b.String()
}

// parts are the words that titles and bodies of a repository are about.
func (r *repository) parts() []string {
	for _, p := range projects {
		if strings.HasPrefix(r.name, p.name) {
			return p.parts
		}
	}
	return projects[0].parts
}
