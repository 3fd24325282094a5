mock_provider "aws" {}

variables {
  name = "pegboard-test"
}

run "tags_are_immutable" {
  command = plan
  module { source = "./modules/images" }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "A tag could be moved to another image after it was tested."
  }
}

run "images_are_scanned" {
  command = plan
  module { source = "./modules/images" }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Images must be scanned when they are pushed."
  }
}

run "old_images_go_and_the_newest_stay" {
  command = plan
  module { source = "./modules/images" }
  variables { keep = 12 }

  assert {
    condition = [
      for rule in jsondecode(aws_ecr_lifecycle_policy.this.policy).rules : rule.selection.countNumber if rule.selection.tagStatus == "tagged"
    ] == [12]
    error_message = "The newest images must stay, as many as were asked for."
  }
}

run "keeping_no_image_is_refused" {
  command = plan
  module { source = "./modules/images" }
  variables { keep = 0 }
  expect_failures = [var.keep]
}
