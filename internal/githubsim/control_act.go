package githubsim

import (
	"encoding/json"
	"fmt"
)

// controlAct runs the control actions that take a JSON object.
func (s *Server) controlAct(what string, body []byte) (any, error) {
	var in struct {
		Login       string                `json:"login"`
		Permissions map[string]Permission `json:"permissions"`
		Grants      map[string]string     `json:"grants"`
		URL         string                `json:"url"`
		Secret      string                `json:"secret"`
		Resource    string                `json:"resource"`
		Remaining   int                   `json:"remaining"`
		Secondary   *SecondaryLimits      `json:"secondary"`
		Repository  string                `json:"repository"`
		Number      int64                 `json:"number"`
		To          string                `json:"to"`
		Private     *bool                 `json:"private"`
		HasIssues   *bool                 `json:"has_issues"`
		Archived    *bool                 `json:"archived"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("reading the body of %s: %w", what, err)
	}
	done := map[string]any{"ok": true}
	switch what {
	case "users":
		if in.Login == "" {
			return nil, fmt.Errorf("%s needs a login", what)
		}
		token, err := s.addToken(in.Login, in.Permissions, in.Grants)
		return map[string]string{"login": in.Login, "token": token}, err
	case "webhook":
		s.SetWebhook(in.URL, in.Secret)
		return done, nil
	case "limits":
		if in.Secondary != nil {
			s.SetSecondaryLimits(*in.Secondary)
			return done, nil
		}
		s.store.mu.RLock()
		known := s.store.user(in.Login) != nil
		s.store.mu.RUnlock()
		if !known || in.Resource != "core" && in.Resource != "graphql" {
			return nil, fmt.Errorf("limits need a known login and the resource core or graphql")
		}
		s.SetRemaining(in.Login, in.Resource, in.Remaining)
		return done, nil
	case "rename":
		return done, s.RenameRepository(in.Repository, in.To)
	case "transfer":
		moved, err := s.TransferIssue(in.Repository, in.Number, in.To)
		return map[string]any{"repository": moved.Repository, "id": moved.ID, "number": moved.Number}, err
	case "settings":
		return done, s.SetRepository(in.Repository, RepositorySettings{Private: in.Private, HasIssues: in.HasIssues, Archived: in.Archived})
	}
	return nil, errNoControl
}
