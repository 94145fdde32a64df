// Package cloud has the master keys that live in a key service: AWS KMS and HashiCorp Vault
// Transit, both through Tink. It is a module of its own, because its clients weigh more than the
// rest of Millrace; the program millrace-kms lends them to a Millrace that was built without.
//
// The invariant to remember: master keys never leave their service, and credentials come from the
// environment only.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/millrace-io/millrace/engine/stream/seal"
)

// vaultLimit is how long one request to Vault may take; the client repeats it twice.
const vaultLimit = 8 * time.Second

// Key is a master key of a key service.
type Key struct {
	uri     string
	service tink.AEADWithContext
}

var _ seal.MasterKey = (*Key)(nil)

// Open returns the master key of a URI:
//
//	aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID   credentials as the AWS SDK finds them
//	hcvault://HOST:PORT/transit/keys/NAME         VAULT_TOKEN, VAULT_CACERT and so on
//
// Vault is spoken to by HTTPS, unless VAULT_ADDR names the same host with http.
func Open(ctx context.Context, uri string) (*Key, error) {
	k := &Key{uri: uri}
	var err error
	switch scheme, rest, _ := strings.Cut(uri, "://"); scheme {
	case "aws-kms":
		k.service, err = awskms.NewAEADWithContext(ctx, rest)
	case "hcvault":
		k.service, err = openVault(uri)
	default:
		err = errors.New("want aws-kms://… or hcvault://…")
	}
	if err != nil {
		return nil, fmt.Errorf("master key %s: %w", uri, err)
	}
	return k, nil
}

func openVault(uri string) (tink.AEADWithContext, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Timeout = vaultLimit
	config.Address = "https://" + u.Host
	if plain := "http://" + u.Host; strings.TrimSuffix(os.Getenv("VAULT_ADDR"), "/") == plain {
		config.Address = plain
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	service, err := hcvault.NewAEAD(u.EscapedPath(), client.Logical())
	if err != nil {
		return nil, err
	}
	return unhurried{service}, nil
}

// unhurried is a Tink AEAD that takes no context; its client has a limit of its own.
type unhurried struct{ tink.AEAD }

func (u unhurried) EncryptWithContext(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return u.Encrypt(plaintext, aad)
}

func (u unhurried) DecryptWithContext(ctx context.Context, ciphertext, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return u.Decrypt(ciphertext, aad)
}

// ID implements seal.MasterKey.
func (k *Key) ID() string { return k.uri }

// Opens implements seal.MasterKey. Versions of a key within the service are the service's affair.
func (k *Key) Opens(id string) bool { return id == k.uri }

// Wrap implements seal.MasterKey.
func (k *Key) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	wrapped, err := k.service.EncryptWithContext(ctx, key, aad)
	return wrapped, refused(err)
}

// Unwrap implements seal.MasterKey.
func (k *Key) Unwrap(ctx context.Context, _ string, wrapped, aad []byte) ([]byte, error) {
	key, err := k.service.DecryptWithContext(ctx, wrapped, aad)
	return key, refused(err)
}

// refused marks the errors by which a service says no, for good.
func refused(err error) error {
	var vault *api.ResponseError
	if errors.As(err, &vault) {
		switch vault.StatusCode {
		case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
			return fmt.Errorf("%w: Vault answers %d: %s", seal.ErrRefused, vault.StatusCode, strings.Join(vault.Errors, "; "))
		}
		return err
	}
	var aws smithy.APIError
	if errors.As(err, &aws) {
		switch aws.ErrorCode() {
		case "AccessDeniedException", "DisabledException", "IncorrectKeyException", "InvalidCiphertextException",
			"InvalidKeyUsageException", "KMSInvalidStateException", "NotFoundException":
			return fmt.Errorf("%w: AWS KMS answers %s: %s", seal.ErrRefused, aws.ErrorCode(), aws.ErrorMessage())
		}
	}
	return err
}
