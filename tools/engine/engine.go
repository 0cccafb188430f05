//go:build tools

// Package engine names the program that the module's requirements are for.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
