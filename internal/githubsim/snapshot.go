package githubsim

import (
	"encoding/json"
	"time"
)

// Issue is a copy of an issue or pull request at one moment.
type Issue struct {
	ID, Number, RepositoryID int64
	NodeID, Repository       string // Repository is owner/name
	Title                    string
	Body                     *string
	State                    string
	StateReason              *string
	User                     string // "" = null
	Labels, Assignees        []string
	Milestone, MilestoneID   *int64
	Locked                   bool
	LockReason               *string
	Type                     *string
	Comments                 int
	PullRequest              bool
	CreatedAt, UpdatedAt     time.Time
	ClosedAt                 *time.Time
}

// Repository is a copy of a repository at one moment.
type Repository struct {
	ID                  int64
	NodeID, FullName    string
	Private, HasIssues  bool
	Archived            bool
	Issues              int // without pull requests
	PullRequests        int
	Comments            int // on issues and pull requests
	Labels, Milestones  int
	OpenIssuesCount     int64
	CreatedAt, PushedAt time.Time
}

// Comment is a copy of an issue comment at one moment.
type Comment struct {
	ID, IssueNumber      int64
	NodeID, User, Body   string
	CreatedAt, UpdatedAt time.Time
}

// Label is a copy of a label at one moment.
type Label struct {
	ID          int64
	Name, Color string
	Description *string
}

// Milestone is a copy of a milestone at one moment.
type Milestone struct {
	ID, Number               int64
	Title, State             string
	Description              *string
	OpenIssues, ClosedIssues int64
}

func moment(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func momentOrNil(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := moment(unix)
	return &t
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (i *issue) snapshot() Issue {
	out := Issue{
		ID: i.id, Number: i.number, RepositoryID: i.repo.id, NodeID: i.nodeID(), Repository: i.repo.fullName(),
		Title: i.title, Body: i.body, State: i.state, StateReason: textOrNil(i.reason),
		Labels: []string{}, Assignees: []string{}, Locked: i.locked, LockReason: textOrNil(i.lockReason),
		Comments: len(i.comments), PullRequest: i.pull != nil,
		CreatedAt: moment(i.created), UpdatedAt: moment(i.updated), ClosedAt: momentOrNil(i.closed),
	}
	if i.user != nil {
		out.User = i.user.login
	}
	for _, l := range i.labels {
		out.Labels = append(out.Labels, l.name)
	}
	for _, u := range i.assignees {
		out.Assignees = append(out.Assignees, u.login)
	}
	if m := i.milestone; m != nil {
		number, id := m.number, m.id
		out.Milestone, out.MilestoneID = &number, &id
	}
	if i.kind != nil {
		out.Type = textOrNil(i.kind.name)
	}
	return out
}

func (r *repository) snapshot() Repository {
	out := Repository{
		ID: r.id, NodeID: r.nodeID(), FullName: r.fullName(), Private: r.private, HasIssues: r.hasIssues, Archived: r.archived,
		Comments: len(r.commentsByCreated.rows), Labels: len(r.labels), OpenIssuesCount: r.open,
		CreatedAt: moment(r.created), PushedAt: moment(r.pushed),
	}
	for _, i := range r.byCreated.rows {
		if i.pull != nil {
			out.PullRequests++
		} else {
			out.Issues++
		}
	}
	for _, m := range r.milestones {
		if m != nil {
			out.Milestones++
		}
	}
	return out
}

func (m *comment) snapshot() Comment {
	out := Comment{
		ID: m.id, IssueNumber: m.issue.number, NodeID: nodeID("IC", m.issue.repo.id, m.id), Body: m.body,
		CreatedAt: moment(m.created), UpdatedAt: moment(m.updated),
	}
	if m.user != nil {
		out.User = m.user.login
	}
	return out
}

func (m *milestone) snapshot() Milestone {
	return Milestone{
		ID: m.id, Number: m.number, Title: m.title, State: m.state, Description: m.description,
		OpenIssues: m.open, ClosedIssues: m.shut,
	}
}

// Repositories returns all repositories in order of creation.
func (s *Server) Repositories() []Repository {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	out := make([]Repository, 0, len(s.store.repoOrder))
	for _, r := range s.store.repoOrder {
		out = append(out, r.snapshot())
	}
	return out
}

// Repository returns a repository by its present owner/name.
func (s *Server) Repository(fullName string) (Repository, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return Repository{}, err
	}
	return r.snapshot(), nil
}

// Issue returns an issue or pull request by its present repository and number.
func (s *Server) Issue(fullName string, number int64) (Issue, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return Issue{}, err
	}
	return i.snapshot(), nil
}

// Issues returns all issues and pull requests of a repository, by creation.
func (s *Server) Issues(fullName string) ([]Issue, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return nil, err
	}
	out := make([]Issue, 0, len(r.byCreated.rows))
	for _, i := range r.byCreated.rows {
		out = append(out, i.snapshot())
	}
	return out, nil
}

// RawIssue returns an issue as the API shows it.
func (s *Server) RawIssue(fullName string, number int64) (json.RawMessage, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return nil, err
	}
	c := s.webCall(s.admin)
	e := &enc{api: c.api, web: c.web}
	e.issue("", i)
	return e.b, nil
}

// Comments returns all comments of a repository, by creation.
func (s *Server) Comments(fullName string) ([]Comment, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return nil, err
	}
	out := make([]Comment, 0, len(r.commentsByCreated.rows))
	for _, m := range r.commentsByCreated.rows {
		out = append(out, m.snapshot())
	}
	return out, nil
}

// Labels returns all labels of a repository, by name.
func (s *Server) Labels(fullName string) ([]Label, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return nil, err
	}
	out := make([]Label, 0, len(r.labelOrder))
	for _, l := range r.labelOrder {
		out = append(out, Label{ID: l.id, Name: l.name, Color: l.color, Description: l.description})
	}
	return out, nil
}

// Milestones returns all milestones of a repository, by number.
func (s *Server) Milestones(fullName string) ([]Milestone, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return nil, err
	}
	out := []Milestone{}
	for _, m := range r.milestones {
		if m != nil {
			out = append(out, m.snapshot())
		}
	}
	return out, nil
}
