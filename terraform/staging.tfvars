environment = "staging"
region      = "eu-central-1"

# Networks for examples: put the addresses in that you come from, or leave SSH to Session Manager with [].
ssh_cidrs = ["203.0.113.0/24"]
app_cidrs = ["203.0.113.0/24"]

instance_count = 2
instance_type  = "t3.small"
