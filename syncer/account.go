package syncer

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// storeOwnAccount stores the account that the credential belongs to. Other
// accounts come with the objects they appear in. The credential of an
// installation belongs to no account, which GitHub says with 403 or 404.
//
// https://docs.github.com/en/rest/users/users#get-the-authenticated-user
func (s *Syncer) storeOwnAccount(ctx context.Context) error {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: "user"})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassPermission, ghapi.ClassNotFound:
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking whose credential this is: %w", err)
	}
	// "private" here, "public" in every other object: kept, the account would
	// change with each of our questions.
	var own map[string]json.RawMessage
	if err := resp.Decode(&own); err != nil {
		return err
	}
	delete(own, "user_view_type")
	raw, err := json.Marshal(own)
	if err != nil {
		return fmt.Errorf("preparing our own account: %w", err)
	}
	rows, err := schema.Account.Rows(raw, schema.Scope{})
	if err != nil {
		return err
	}
	var late []schema.Row
	err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		late, _, err = s.merge(ctx, tx, noRepository, rows, resp.StartedAt)
		return err
	})
	if err != nil {
		return err
	}
	return s.settleLate(ctx, noRepository, late, resp.StartedAt)
}
