package syncer

import (
	"context"
	"fmt"

	"github.com/pghub/pghub/schema"
)

// applyInstallation: repositories join and leave with the installation of a
// GitHub App. What leaves is not deleted: its rows stay and are marked.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation_repositories
func applyInstallation(ctx context.Context, w *webhook) error {
	var gone []namedRepository
	why := ""
	switch w.out.Event + "." + w.Action {
	case "installation_repositories.removed":
		gone, why = w.Removed, "the repository was taken from the GitHub App's installation"
	case "installation.deleted":
		gone, why = w.Repositories, "the GitHub App was uninstalled"
	case "installation.suspend":
		gone, why = w.Repositories, "the GitHub App's installation was suspended"
	case "installation_repositories.added", "installation.created", "installation.unsuspend":
		return w.discover(ctx, "only the repositories named by the settings are mirrored")
	default:
		return w.ignore("it changes no repository")
	}
	for _, r := range gone {
		follows, err := w.follows(ctx, r.ID)
		if err != nil {
			return err
		}
		if !follows {
			continue
		}
		marked, err := w.markLost(ctx, r.ID, fmt.Sprintf("%s: %s", errAccessLost, why), false)
		if err != nil {
			return err
		}
		if marked {
			w.out.row(schema.Repository, r.ID, EffectMarked, why)
		}
	}
	if len(w.out.Rows) == 0 {
		return w.ignore("none of its repositories is mirrored, or all were seen since")
	}
	return nil
}
