//go:build tools

// Package engine imports the engine's command, so that go.mod lists what building it requires.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
