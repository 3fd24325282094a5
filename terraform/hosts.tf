locals {
  hosts_cfg = templatefile("${path.module}/hosts.cfg.tftpl", {
    environment      = var.environment
    region           = var.region
    hosts            = module.hosts.hosts
    user             = module.hosts.user
    target_group_arn = module.balancer.target_group_arn
    repository       = local.repository
    bucket           = local.bucket
  })
}

# Where Terraform ends and Ansible begins: the inventory. Of the two resources for it the first removes the file, and the
# second writes it again when its content changes. One alone would have to be made anew before it is destroyed, and so
# would all that it depends on: machines, roles and target groups, whose names AWS lets be there but once.
resource "terraform_data" "hosts_cfg" {
  # On destroy a provisioner knows nothing but its own resource: what it removes has to be in it.
  input            = { path = var.hosts_cfg, content = local.hosts_cfg }
  triggers_replace = [var.hosts_cfg]

  # The file goes if it is the one that was written here: another environment may have written its own there.
  provisioner "local-exec" {
    when        = destroy
    command     = "if printf '%s' \"$CONTENT\" | cmp -s - \"$FILE\"; then rm \"$FILE\"; fi"
    interpreter = ["/bin/sh", "-euc"]
    working_dir = path.module
    quiet       = true
    environment = { CONTENT = self.output.content, FILE = self.output.path }
  }
}

resource "terraform_data" "hosts_cfg_written" {
  triggers_replace = [var.hosts_cfg, local.hosts_cfg]

  # Content and path come by the environment, where the shell does not read them. The new file takes the old one's
  # place in one step: whoever reads meanwhile has a whole inventory.
  provisioner "local-exec" {
    command     = <<-EOT
      umask 027
      printf '%s' "$CONTENT" >"$FILE.new"
      chmod 0640 "$FILE.new"
      mv "$FILE.new" "$FILE"
    EOT
    interpreter = ["/bin/sh", "-euc"]
    working_dir = path.module
    quiet       = true
    environment = { CONTENT = local.hosts_cfg, FILE = var.hosts_cfg }
  }

  depends_on = [terraform_data.hosts_cfg]
}
